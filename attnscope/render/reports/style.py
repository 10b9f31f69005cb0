"""The look of the page: one style sheet, light and dark, for screens, phones and paper."""

STYLE = """
.attnscope { color-scheme: light dark;
  --paper: #ffffff; --card: #f6f7f9; --line: #d9dde3; --ink: #1c2128; --quiet: #5b6572;
  --pass: #14713a; --pass-paper: #e4f5ea; --fail: #b3151f; --fail-paper: #fdeaea;
  --skip: #835400; --skip-paper: #fff4dc; --other: #4b5563; --other-paper: #eceff3;
  background: var(--paper); color: var(--ink); margin: 0 auto; padding: 1.25rem;
  max-width: 62rem; box-sizing: border-box; text-align: left;
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
  overflow-wrap: anywhere; }
@media (prefers-color-scheme: dark) { .attnscope {
  --paper: #14171c; --card: #1d2128; --line: #353b45; --ink: #e6e9ee; --quiet: #9aa5b4;
  --pass: #6fd698; --pass-paper: #14301f; --fail: #ff8f8f; --fail-paper: #3f1619;
  --skip: #f2c063; --skip-paper: #372a10; --other: #b6c0cd; --other-paper: #2a3039; } }
.attnscope * { box-sizing: border-box; }
.attnscope h1, .attnscope h2, .attnscope h3, .attnscope p { margin: 0; color: inherit; }
.attnscope h1 { font-size: 1.1rem; font-weight: 600; color: var(--quiet); margin-bottom: 1rem; }
.attnscope h3 { font-size: 1rem; margin: 1.75rem 0 .6rem; }
.attnscope section.model { margin-bottom: 2.5rem; }
.attnscope .verdict { border-left: .4rem solid var(--tone); background: var(--tone-paper);
  padding: .9rem 1.1rem; border-radius: .3rem; }
.attnscope .verdict h2 { font-size: 1.35rem; line-height: 1.3; color: var(--tone); }
.attnscope .verdict .name { color: var(--ink); font-weight: 600; }
.attnscope .verdict p { margin-top: .3rem; }
.attnscope .pass { --tone: var(--pass); --tone-paper: var(--pass-paper); }
.attnscope .fail, .attnscope .error { --tone: var(--fail); --tone-paper: var(--fail-paper); }
.attnscope .skip { --tone: var(--skip); --tone-paper: var(--skip-paper); }
.attnscope .unpromised, .attnscope .accepted { --tone: var(--other);
  --tone-paper: var(--other-paper); }
.attnscope .facts { display: flex; flex-wrap: wrap; gap: .2rem 1.4rem; margin: .9rem 0 0; }
.attnscope .facts div { display: flex; gap: .4rem; }
.attnscope dt { color: var(--quiet); }
.attnscope dd { margin: 0; }
.attnscope .counts { display: flex; flex-wrap: wrap; gap: .4rem; margin-top: .9rem; }
.attnscope .chip { display: inline-block; color: var(--tone); background: var(--tone-paper);
  border-radius: 1rem; padding: 0 .65rem; font-size: .9em; white-space: nowrap; }
.attnscope .finding { border: 1px solid var(--line); border-left: .25rem solid var(--tone);
  border-radius: .3rem; padding: .8rem 1rem; margin-bottom: .7rem; background: var(--card);
  break-inside: avoid; }
.attnscope .finding .title { font-weight: 600; color: var(--tone); }
.attnscope .finding .where { color: var(--quiet); font-size: .92em; margin-top: .35rem; }
.attnscope .finding .fix { margin-top: .35rem; }
.attnscope code { font: .92em ui-monospace, SFMono-Regular, Menlo, Consolas, monospace;
  color: inherit; background: none; padding: 0; white-space: break-spaces; }
.attnscope pre { background: var(--card); border: 1px solid var(--line); border-radius: .3rem;
  padding: .8rem; overflow-x: auto; margin: .5rem 0 0; color: inherit; }
.attnscope pre code { white-space: pre; overflow-wrap: normal; }
.attnscope details { border-bottom: 1px solid var(--line); }
.attnscope summary { cursor: pointer; padding: .4rem .2rem; }
.attnscope summary .chip { margin-left: .3rem; }
.attnscope summary .code { color: var(--quiet); font-variant-numeric: tabular-nums; }
.attnscope table { border-collapse: collapse; width: 100%; margin: .2rem 0 .8rem;
  font-size: .93em; color: inherit; background: none; }
.attnscope th, .attnscope td { text-align: left; vertical-align: top;
  padding: .25rem .6rem .25rem .2rem; border-top: 1px solid var(--line); background: none; }
.attnscope th { color: var(--quiet); font-weight: 500; border-top: 0; }
.attnscope .checks th:nth-child(1) { width: 30%; }
.attnscope .checks th:nth-child(2) { width: 16%; }
.attnscope .checks th:nth-child(3) { width: 14%; }
.attnscope .remarks { display: grid; grid-template-columns: fit-content(14rem) 1fr;
  gap: .25rem 1rem; margin: 0; }
.attnscope a { color: inherit; }
.attnscope footer { color: var(--quiet); font-size: .9em; }
@media (max-width: 34rem) {
  .attnscope { padding: .8rem; }
  .attnscope thead { display: none; }
  .attnscope tr { display: block; border-top: 1px solid var(--line); padding: .3rem 0; }
  .attnscope td { display: inline-block; border: 0; padding: 0 .8rem 0 .2rem; }
  .attnscope td:last-child { display: block; }
  .attnscope .remarks { grid-template-columns: 1fr; gap: 0; }
  .attnscope .remarks dd { margin-bottom: .4rem; }
}
@media print {
  .attnscope { color-scheme: light; max-width: none; padding: 0; font-size: 10pt;
    --paper: #fff; --card: #fff; --line: #999; --ink: #000; --quiet: #444;
    --pass: #14713a; --fail: #b3151f; --skip: #835400; --other: #444;
    --pass-paper: #fff; --fail-paper: #fff; --skip-paper: #fff; --other-paper: #fff; }
  .attnscope details::details-content { content-visibility: visible; block-size: auto; }
  .attnscope .chip { border: 1px solid var(--tone); }
  .attnscope tr, .attnscope summary { break-inside: avoid; }
}
"""
"""Everything stands under one class, so that a fragment changes nothing around it."""

PAGE = """
html { background: #ffffff; }
@media (prefers-color-scheme: dark) { html { background: #14171c; } }
@media print { html { background: #ffffff; } }
body { margin: 0; }
"""
"""For a page of its own."""
