// What stands above every screen of a job: its kind and its place.

import { fill } from "../../lib/dom.js";
import { named, place } from "../session.js";

/** @typedef {import("../../sync/jobs.js").Job} Job */

/** @param {ParentNode} screen @param {Job} job */
export function heading(screen, job) {
  fill(screen, "title", named(job.title));
  fill(screen, "place", place(job));
}
