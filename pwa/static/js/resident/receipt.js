// At the receipt: what this phone kept of the form that was sent is not begun any more.

import { anything } from "./has_pending.js";

const key = document.querySelector("[data-key]")?.getAttribute("data-key") ?? "";
void anything().then((found) => found?.wasSent(key));
