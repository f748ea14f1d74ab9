// My reports: above those that this browser has links of, what still waits on this phone.

import { anything } from "./has_pending.js";

const waiting = /** @type {HTMLElement | null} */ (document.querySelector("#kept-here"));
if (waiting && (await anything())) await (await import("./pending_list.js")).list(waiting);
