/** Operators' forms were written for a page that has RequireJS: `require(["jquery"], function ($) { ... })`. */

window.require = (names, then) => {
  const known = { jquery: window.jQuery };
  const missing = names.filter((name) => !(name in known));
  if (missing.length) {
    throw new Error(`This page has no ${missing.join(", ")}: load it with a script tag.`);
  }
  return then?.(...names.map((name) => known[name]));
};
