// My reports: above those that this browser has links of, what still waits on this phone.

import { list } from "./receipts.js";
import { anything } from "./waiting.js";

const waiting = /** @type {HTMLElement | null} */ (document.querySelector("#kept-here"));
if (waiting && (await anything())) await list(waiting);
