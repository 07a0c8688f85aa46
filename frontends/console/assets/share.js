// The dialog that shares a session: its address for those who have an account, and links for others.

import { addLink, listLinks, now, removeLink } from "./api.js";
import { copyText } from "./clipboard.js";
import { find, make, setText } from "./dom.js";
import { until } from "./format.js";
import { notice } from "./notices.js";

/**
 * Shows the dialog. `copy` copies the page's address; `mayShare` says whether the account may make links
 * to the session.
 */
export function share({ id, mayShare, copy }) {
  session = id;
  find("sharing-copy").onclick = copy;
  find("sharing-links").hidden = !mayShare;
  find("sharing-unreached").hidden = !isLocal();
  setText(find("sharing-unreached"), `Others cannot open ${location.origin}: it is an address of this machine alone. Open the console at an address that they can reach, and share from there.`);
  find("sharing-new").hidden = true;
  find("sharing-list").replaceChildren();
  setText(find("sharing-problem"), "");
  find("sharing").showModal();
  if (mayShare) attempt(show);
}

/** The session that the dialog is about. */
let session = null;

/** Whether only this machine can reach the page's address. */
function isLocal() {
  return /^(localhost|.*\.localhost|127(\.\d+){3}|\[::1\])$/.test(location.hostname);
}

async function add() {
  const { path } = await addLink(session, find("sharing-time").value);
  // The server may be behind a path that it does not know.
  const link = new URL(path.slice(path.indexOf("#")), location.href).href;
  const field = find("sharing-new");
  field.hidden = false;
  field.value = link;
  field.select();
  const isCopied = await copyText(link);
  notice(isCopied ? "Copied the link. It is not shown again." : "Copy the link now: it is not shown again.");
  await show();
}

async function show() {
  const asked = session;
  const { links } = await listLinks(asked);
  if (asked !== session) return;
  find("sharing-list").replaceChildren(...links.map(row));
}

function row({ link, account, expires }) {
  const remove = make("button", { className: "button small", type: "button", textContent: "Remove" });
  remove.addEventListener("click", () => attempt(async () => {
    await removeLink(session, link);
    await show();
  }));
  const by = account ? ` · by ${account}` : "";
  return make("li", {}, make("span", { textContent: `${link}${by} · ends in ${until(expires, now())}` }), remove);
}

/** Does something, and shows in the dialog why it failed. */
async function attempt(action) {
  setText(find("sharing-problem"), "");
  try {
    await action();
  } catch (error) {
    setText(find("sharing-problem"), error.message);
  }
}

find("sharing-add").addEventListener("click", () => attempt(add));
