/** Requests to the hub's API, made as the person who is logged in. */

const { prefix, xsrf } = document.body.dataset;

/** The address of an API path, e.g. `users/ada/server`. */
export function address(path) {
  return `${prefix}api/${path}`;
}

/** The same with the token that reads from a page need, for what cannot set headers (EventSource). */
export function addressWithToken(path) {
  return `${address(path)}?_xsrf=${encodeURIComponent(xsrf)}`;
}

/** Resolves to the answer when the hub agreed; else throws an Error with its reason, for people. */
export async function send(method, path, body) {
  const headers = { "X-XSRFToken": xsrf, Accept: "application/json" };
  if (body !== undefined) {
    headers["Content-Type"] = "application/json";
  }
  let response;
  try {
    response = await fetch(address(path), {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch {
    throw new Error("The hub cannot be reached. Check your connection and try again.");
  }
  if (!response.ok) {
    throw new Error(await reason(response));
  }
  return response;
}

async function reason(response) {
  const answer = await response.json().catch(() => ({}));
  if (answer.message) {
    return answer.message;
  }
  return response.status === 403
    ? "You are logged out, or may not do this. Reload the page and try again."
    : `The hub answered ${response.status}. Try again.`;
}
