// A developer's first hour with the types that a stock generator makes of /openapi.json: sign up,
// log in, update, search. Prints nothing where all is well.
import createClient from "openapi-fetch";
import type { paths } from "./schema.js";

declare const process: { env: Record<string, string | undefined> };

function must(holds: unknown, what: string): asserts holds {
	if (!holds) throw new Error(what);
}

const baseUrl = process.env["BASE_URL"] ?? "";
const admin = { Authorization: `Bearer ${process.env["ADMIN"]}` };
const tag = Math.random().toString(36).slice(2);
const email = `client-${tag}@example.com`;
const password = "correct horse battery";
const api = createClient<paths>({ baseUrl });

const made = await api.POST("/api/v1/users", { body: { name: "김하늘 " + tag, email, password } });
must(made.data, "sign-up");
const id: number = made.data.id;

const again = await api.POST("/api/v1/users", { body: { name: "x", email, password } });
must(again.error?.code === "email_taken", "the same address again");

const login = await api.POST("/api/v1/auth/login", { body: { email, password } });
must(login.data, "login");
const headers = { Authorization: `Bearer ${login.data.access_token}` };

const changed = await api.PATCH("/api/v1/users/{id}", {
	params: { path: { id }, header: { "If-Match": '"2"' } },
	body: { age: 30, nickname: null },
	headers,
});
must(changed.data?.age === 30, "update");

const found = await api.GET("/api/v1/users/search", { params: { query: { q: tag } }, headers: admin });
must(found.data?.some((user) => user.id === id), "search");

const refused = await api.GET("/api/v1/users", { headers });
must(refused.response.status === 403 && refused.error?.code === "forbidden", "another's list");

// @ts-expect-error what the document does not allow does not compile
await api.PATCH("/api/v1/users/{id}", { params: { path: { id } }, body: { age: "thirty" }, headers });
