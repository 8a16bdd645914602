// Swagger UI over this server's own document. A file of its own: the page's policy lets no script
// in that stands in the page. Tokens are kept by the page alone and are gone with it.
window.ui = SwaggerUIBundle({
	url: "/openapi.json",
	dom_id: "#docs",
	deepLinking: true,
	persistAuthorization: false,
	validatorUrl: null,
});
