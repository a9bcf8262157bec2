"""How report.html looks, light and dark."""

STYLE = """
:root { color-scheme: light dark;
  --page: #fbfbf9; --card: #fff; --ink: #1b1e23; --soft: #5f6672; --rule: #e4e5e1; --edge: #e9e9e4;
  --c0: #2563a8; --c1: #c8553d; --c2: #3a8a5f; --c3: #8a5fb0;
  --c4: #b8892b; --c5: #3b8f9c; --c6: #a34a78; --c7: #76808c }
@media (prefers-color-scheme: dark) { :root {
  --page: #14171b; --card: #1b1f25; --ink: #e8eaed; --soft: #9aa3af; --rule: #2e343c; --edge: #262b32;
  --c0: #6ea8e8; --c1: #ef8a72; --c2: #6dc49a; --c3: #b998dd;
  --c4: #dfb65c; --c5: #6ec3d0; --c6: #d988b2; --c7: #a3adb9 } }
* { box-sizing: border-box }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", sans-serif }
main { max-width: 1180px; margin: 0 auto; padding: 40px 24px 64px }
header { display: flex; flex-wrap: wrap; align-items: baseline; gap: 4px 14px }
h1 { font-size: 30px; letter-spacing: -.02em; margin: 0 }
h2 { font-size: 19px; letter-spacing: -.01em; margin: 44px 0 14px }
.status { font-size: 13px; font-weight: 600; padding: 2px 10px; border-radius: 99px; color: var(--card);
  background: var(--c7) }
.status.reached { background: var(--c2) }
.status.budget, .status.plateau { background: var(--c0) }
.status.failed { background: var(--c1) }
.lead { color: var(--soft); margin: 6px 0 26px }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(max(130px, 50% - 6px), 1fr)); gap: 12px;
  margin: 0 }
@media (min-width: 680px) { .tiles { grid-template-columns: repeat(var(--middle), 1fr) } }
@media (min-width: 1170px) { .tiles { grid-template-columns: repeat(var(--wide), 1fr) } }
.tiles div { background: var(--card); border: 1px solid var(--edge); border-radius: 10px; padding: 12px 16px }
.tiles dt { color: var(--soft); font-size: 13px; white-space: nowrap }
.tiles dd { margin: 2px 0 0; font-size: 23px; font-weight: 600; letter-spacing: -.01em;
  font-variant-numeric: tabular-nums }
.tiles small { display: block; font-size: 12.5px; font-weight: 400; letter-spacing: 0; color: var(--soft) }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(480px, 100%), 1fr)); gap: 16px }
figure { margin: 0; background: var(--card); border: 1px solid var(--edge); border-radius: 10px;
  padding: 16px 18px 12px }
figure:last-child { align-self: start }
figcaption { font-weight: 600; margin-bottom: 8px }
figcaption span { display: block; font-weight: 400; font-size: 13px; color: var(--soft) }
svg { display: block; width: 100%; height: auto; overflow: visible }
.grid { stroke: var(--rule); stroke-width: 1 }
.curve { fill: none; stroke-width: 1.8; stroke-linejoin: round }
.level { stroke: var(--soft); stroke-dasharray: 5 4 }
text { fill: var(--soft); font-size: 12px; font-variant-numeric: tabular-nums }
text.label { font-size: 12.5px } text.inside { fill: var(--card); font-weight: 600 }
.c0 { stroke: var(--c0); fill: var(--c0); background: var(--c0) }
.c1 { stroke: var(--c1); fill: var(--c1); background: var(--c1) }
.c2 { stroke: var(--c2); fill: var(--c2); background: var(--c2) }
.c3 { stroke: var(--c3); fill: var(--c3); background: var(--c3) }
.c4 { stroke: var(--c4); fill: var(--c4); background: var(--c4) }
.c5 { stroke: var(--c5); fill: var(--c5); background: var(--c5) }
.c6 { stroke: var(--c6); fill: var(--c6); background: var(--c6) }
.c7 { stroke: var(--c7); fill: var(--c7); background: var(--c7) }
.bar { stroke: none } .band { stroke: none; fill-opacity: .16 } .dot { stroke: var(--card); stroke-width: 1.2 }
polyline.curve { fill: none }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: 2px 16px; margin: 8px 0 0; padding: 0;
  font-size: 13px; color: var(--soft) }
.legend i { display: inline-block; width: 10px; height: 10px; border-radius: 3px; margin-right: 6px }
pre { white-space: pre-wrap; overflow-wrap: anywhere;
  background: var(--card); border: 1px solid var(--edge); border-radius: 10px; padding: 14px 18px;
  overflow-x: auto;
  font: 13px/1.55 ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; margin: 0 }
.columns { columns: 2 380px; column-gap: 40px }
details summary { cursor: pointer; color: var(--soft); margin: 12px 0 }
@media (max-width: 560px) { text, text.label { font-size: 15px } }
@media print { body { background: #fff } figure, .tiles div { break-inside: avoid } }
"""
