// The page at /docs in a real browser: log in by the Authorize button, try a call, take a picture.
// The browser can reach this machine alone.
import { chromium } from "playwright-core";

const { BASE_URL, EMAIL, PASSWORD, PICTURE, CHROMIUM } = process.env;
const browser = await chromium.launch({
	executablePath: CHROMIUM,
	args: ["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
		"--disable-background-networking", "--disable-component-update"],
});
const page = await browser.newPage({ viewport: { width: 1200, height: 1400 } });
const complaints = [];
page.on("console", (m) => m.type() === "error" && complaints.push(m.text()));
page.on("pageerror", (e) => complaints.push(String(e)));
page.on("request", (r) => !/^(data:|blob:)/.test(r.url()) && !r.url().startsWith(BASE_URL) && complaints.push(`asked ${r.url()}`));
page.setDefaultTimeout(30000);

try {
	await page.goto(`${BASE_URL}/docs/`);
	await page.click("button.btn.authorize");
	await page.fill("#oauth_username", EMAIL);
	await page.fill("#oauth_password", PASSWORD);
	await page.click(".auth-container:has(#oauth_username) button.modal-btn.authorize");
	await page.waitForSelector(".auth-container:has-text('Logout')");
	await page.click("button.btn-done");
	await page.click("#operations-users-get_users_me .opblock-summary-control");
	await page.click("#operations-users-get_users_me .try-out__btn");
	await page.click("#operations-users-get_users_me .execute");
	const answer = page.locator("#operations-users-get_users_me .live-responses-table");
	await answer.waitFor();
	const text = await answer.innerText();
	if (!text.includes("200") || !text.includes(EMAIL)) throw new Error(`the page shows: ${text}`);
	await answer.scrollIntoViewIfNeeded();
} finally {
	await page.screenshot({ path: PICTURE });
	await browser.close();
}
if (complaints.length > 0) throw new Error(complaints.join("\n"));
