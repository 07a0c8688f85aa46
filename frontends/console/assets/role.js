// What the account that looks at the page may do. What it may not do, the page does not show.

let role = "admin";
let account = null;

/** Notes who looks: `{accounts, name, role}`, as the server says. Without accounts, everybody is an admin. */
export function setRole(me) {
  role = me.role;
  account = me.accounts ? me.name : null;
  document.documentElement.dataset.role = role;
}

/** Whether the account may create sessions, run commands and interrupt them. */
export const mayRun = () => role !== "viewer";

/** Whether the account may close a session of that user. */
export const mayClose = (user) => role === "admin" || (mayRun() && account === user);

/** What the list of sessions has in it, in a few words; null if that is everything. */
export const listTitle = () =>
  ({ operator: "Your sessions, and those you have opened", viewer: "Sessions that you have opened" })[role] ?? null;
