"""The style sheet of the bench page: light, dark, phone and print.

Colours are from the palette of Okabe and Ito ("Color Universal Design", 2008), which is safe for
colour blindness. Bytes that cost nothing are pale.
"""

from __future__ import annotations

from typing import Final

__all__ = ["STYLE"]

STYLE: Final = """
:root {
  color-scheme: light dark;
  --page: #ffffff; --text: #1b1f24; --soft: #5b6470; --line: #dfe3e8; --track: #f2f4f6;
  --same: #cfd5dc; --moved: #84bde0; --repeat: #009e73; --zero: #eceff2; --travel: #d55e00;
  --manifest: #5b6470; --speed: #0072b2;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --page: #14171b; --text: #e8eaed; --soft: #9aa3ae; --line: #30363e; --track: #1f242a;
    --same: #474f59; --moved: #3b7dab; --repeat: #19b88b; --zero: #262b32; --travel: #f0762b;
    --manifest: #b4bcc6; --speed: #4aa3df;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--page); color: var(--text);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
  font-variant-numeric: tabular-nums;
}
main { max-width: 64rem; margin: 0 auto; padding: 2rem 1.25rem 3rem; }
p { text-wrap: pretty; }
header p { margin: .4rem 0 0; }
h1 { font-size: clamp(1.5rem, 5vw, 2.4rem); line-height: 1.2; margin: 0; font-weight: 650; }
h2 { font-size: 1.15rem; margin: 2.6rem 0 .3rem; font-weight: 650; }
h3 { font-size: .9rem; margin: 0 0 .4rem; font-weight: 600; }
section > p { margin: 0 0 .9rem; color: var(--soft); max-width: 52rem; }
.path { overflow-wrap: anywhere; font-weight: 600; }
svg { display: block; width: 100%; shape-rendering: crispEdges; }
.same { fill: var(--same); } .moved { fill: var(--moved); } .repeat { fill: var(--repeat); }
.zero { fill: var(--zero); } .travel { fill: var(--travel); }
.manifest { fill: var(--manifest); } .speed { fill: var(--speed); } .track { fill: var(--track); }
.whole { height: 2rem; margin-bottom: .7rem; }
.key { list-style: none; margin: 0; padding: 0; display: grid; gap: .15rem 2rem;
  grid-template-columns: repeat(auto-fill, minmax(min(24rem, 100%), 1fr)); }
.key li { display: grid; grid-template-columns: 1rem 1fr auto 3.6rem; gap: .6rem;
  align-items: center; }
.key svg { height: 1rem; outline: 1px solid var(--line); outline-offset: -1px; }
.key .part { text-align: right; color: var(--soft); }
.inline { display: inline-flex; align-items: center; gap: .4rem; margin-right: 1.2rem; }
.inline svg { width: .8rem; height: .8rem; }
.map { display: grid; grid-template-columns: max-content 1fr; gap: 3px .6rem; align-items: center; }
.map span { font-size: .75rem; color: var(--soft); text-align: right; white-space: nowrap; }
.map svg { height: 1.4rem; background: transparent; }
.map .tip { fill: transparent; } .map .tip:hover { fill: var(--text); fill-opacity: .25; }
.charts { display: grid; gap: 1.4rem 2.2rem;
  grid-template-columns: repeat(auto-fit, minmax(min(22rem, 100%), 1fr)); }
.bar { display: grid; grid-template-columns: 4.2rem 1fr 5.6rem; gap: .6rem; align-items: center;
  font-size: .9rem; line-height: 1.75; }
.bar svg { height: .9rem; }
.bar span { white-space: nowrap; }
.bar span:first-child { text-align: right; }
.chosen { font-weight: 700; }
.table { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .8rem; }
th, td { padding: .35rem .3rem; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--line); }
th { font-weight: 600; color: var(--soft); vertical-align: bottom; white-space: normal; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1.2rem; margin: 0;
  font-size: .9rem; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
@media (max-width: 34rem) {
  main { padding: 1.2rem .9rem 2rem; }
  .map { grid-template-columns: 1fr; gap: 0; }
  .map span { text-align: left; line-height: 1.4; }
  dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: .5rem; }
}
@media print {
  :root { color-scheme: light; }
  html { font-size: 10.5px; }
  main { padding: 0; }
  section, tr { break-inside: avoid; }
}
"""
