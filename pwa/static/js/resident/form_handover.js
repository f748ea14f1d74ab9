// What home hands to the form that takes its place.

/** @type {{ files: File[], locate: boolean }} */
export const handed = { files: [], locate: false };
