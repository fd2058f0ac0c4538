// How the page looks, and the little that moves. Neither holds a "<" or an "&": the page stays XML.
#include "tools/report.h"

namespace cra::tools {

// Categories: the palette of M. Okabe and K. Ito ("Color Universal Design", 2008), which people
// with any kind of colour vision can tell apart; darker on white and lighter on black where text
// has the colour.
const char* report_css() {
  return R"(
:root{--bg:#fff;--ink:#1c2126;--muted:#5b6670;--faint:#d9dee3;--grid:#e8ebee;--card:#f6f8f9;
--learned:#0067a5;--best:#c24e00;--expert:#007d5a;--planner:#a8487f;--oracle:#9a6a00;--other:#7b8690;--bound:#1c2126;
--error:#8a97a3;--switching:#e69f00;--fairness:#56b4e9;--use:#cc79a7;
--c0:#0067a5;--c1:#c24e00;--c2:#007d5a;--c3:#a8487f;--c4:#9a6a00;--c5:#2f9fd8;--c6:#1c2126}
@media (prefers-color-scheme:dark){:root{--bg:#14181c;--ink:#e6eaed;--muted:#9aa6b1;--faint:#38424b;--grid:#262d34;--card:#1c2228;
--learned:#56b4e9;--best:#f0893f;--expert:#2fc59a;--planner:#dd93bd;--oracle:#e6b13f;--other:#8b97a2;--bound:#e6eaed;
--error:#77848f;
--c0:#56b4e9;--c1:#f0893f;--c2:#2fc59a;--c3:#dd93bd;--c4:#e6b13f;--c5:#a5d8f6;--c6:#e6eaed}}
@media print{:root{--bg:#fff;--ink:#000;--muted:#444;--faint:#bbb;--grid:#e4e4e4;--card:#fff;
--learned:#0067a5;--best:#c24e00;--expert:#007d5a;--planner:#a8487f;--oracle:#9a6a00;--other:#7b8690;--bound:#000;--error:#8a97a3;
--c0:#0067a5;--c1:#c24e00;--c2:#007d5a;--c3:#a8487f;--c4:#9a6a00;--c5:#2f9fd8;--c6:#000}}
*{box-sizing:border-box}
html{background:var(--bg);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","DejaVu Sans",sans-serif;-webkit-text-size-adjust:100%;text-size-adjust:100%}
body{max-width:1064px;margin:0 auto;padding:28px 20px 60px}
h1{font-size:1.7rem;line-height:1.2;margin:0 0 .5rem;overflow-wrap:anywhere}
h2{font-size:1.25rem;margin:2.6rem 0 .4rem;padding-top:.9rem;border-top:1px solid var(--faint)}
h3{font-size:.95rem;line-height:1.35;margin:0 0 .5rem;overflow-wrap:anywhere}
p{margin:.4rem 0;overflow-wrap:anywhere;max-width:75ch}
header p{color:var(--ink)}
.facts-line,.lead,.note,figcaption{color:var(--muted)}
.note{font-size:.9rem}
#answer h2{border:0;padding:0;margin:1.4rem 0 .5rem}
.answer{background:var(--card);border-left:5px solid var(--k);border-radius:4px;padding:.8rem 1.1rem;margin:.6rem 0}
.verdict{font-size:1.14rem;font-weight:600;line-height:1.4}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(190px,1fr));gap:.6rem 1.6rem;margin:.9rem 0 .7rem}
.tile b{display:block;font-size:1.7rem;line-height:1.2;font-variant-numeric:tabular-nums}
.tile span{display:block;font-size:.84rem;line-height:1.35;color:var(--muted);overflow-wrap:anywhere}
.scroll{overflow-x:auto;max-width:100%}
.scroll:focus-visible,summary:focus-visible{outline:2px solid var(--learned);outline-offset:2px}
table{border-collapse:collapse;font-size:.9rem;margin:.4rem 0 .8rem;font-variant-numeric:tabular-nums}
caption{text-align:left;color:var(--muted);padding:.2rem 0 .4rem;font-size:.9rem}
caption span{display:block;position:sticky;left:0;max-width:calc(100vw - 44px)}
th,td{padding:.24rem .8rem;text-align:right;white-space:nowrap;border-bottom:1px solid var(--grid)}
th:first-child,td:first-child{padding-left:.2rem}
thead th{font-weight:600;color:var(--muted);border-bottom:1px solid var(--faint);vertical-align:bottom}
th[scope=row],thead th:first-child,.policies thead th:nth-child(2),.word{text-align:left}
tbody th{font-weight:400}
tr.k-learned th,tr.k-best th,tr.k-expert th,tr.k-bound th{font-weight:600}
.dot{display:inline-block;width:.62em;height:.62em;border-radius:50%;background:var(--k);margin-right:.5em}
.facts th{color:var(--muted);vertical-align:top}
.facts td{text-align:left;white-space:normal;overflow-wrap:anywhere;min-width:16rem}
.facts{width:100%}
details{margin:.6rem 0}
summary{cursor:pointer;color:var(--muted)}
.reading{font-size:.9rem}
pre{background:var(--card);padding:.8rem;font-size:.8rem;line-height:1.4}
code{font-size:.92em;overflow-wrap:anywhere}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,420px),1fr));gap:1.8rem 2.4rem;margin-top:1rem;align-items:start}
figure{margin:0;min-width:0}
.stack{display:grid;gap:1.8rem;min-width:0}
figcaption{font-size:.84rem;line-height:1.42;margin-top:.3rem;overflow-wrap:anywhere}
.absent{border:1px dashed var(--faint);border-radius:4px;padding:.8rem}
.readout{font-size:.84rem;margin:.1rem 0 0;font-variant-numeric:tabular-nums}
.readout:empty{display:none}
.word-key{color:var(--k);font-weight:600}
svg{display:block;width:100%;height:auto;max-width:520px;overflow:visible}
svg text{font-size:12px;fill:var(--ink)}
svg .tick{font-size:11px;fill:var(--muted);font-variant-numeric:tabular-nums}
svg .name{font-size:11.5px;fill:var(--muted)}
svg .small{font-size:11px;fill:var(--muted);paint-order:stroke;stroke:var(--bg);stroke-width:4px;stroke-linejoin:round}
svg .value{font-variant-numeric:tabular-nums}
svg .direct{fill:var(--k);font-weight:600}
.grid{stroke:var(--grid);stroke-width:1}
.axis{stroke:var(--muted);stroke-width:1}
.zero{stroke:var(--muted);stroke-width:1.2}
.mark{stroke:var(--k);stroke-width:2.6;stroke-linecap:round}
.dotmark{fill:var(--k);stroke:var(--bg);stroke-width:1.4}
.box{stroke:var(--k);stroke-width:5;opacity:.55}
.dots{stroke:var(--k);stroke-width:3;stroke-linecap:round;opacity:.3;fill:none}
.dots.large{stroke-width:4.4;opacity:.5}
@media (prefers-color-scheme:dark){.dots{opacity:.5}.dots.large{opacity:.75}}
@media print{.dots{opacity:.35}.dots.large{opacity:.5}}
.thin{stroke:var(--k);stroke-width:1;opacity:.5;fill:none}
.thick{stroke:var(--k);stroke-width:2.2;fill:none;stroke-linejoin:round}
.band{fill:var(--k);opacity:.18}
.reference{stroke:var(--k);stroke-width:1.5;stroke-dasharray:5 4}
.leader{stroke:var(--k);stroke-width:1;fill:none}
.join{stroke:var(--faint);stroke-width:2.5}
.heat{shape-rendering:crispEdges;fill:none;stroke-width:1.05}
.halo{stroke:#000;stroke-opacity:.55;stroke-width:2.8;fill:none;stroke-linejoin:round}
.over{stroke:#fff;stroke-width:1.3;fill:none;stroke-linejoin:round}
.frame{stroke:#fff;stroke-width:.9;fill:none}
.t-error{fill:var(--error)}.t-switching{fill:var(--switching)}.t-fairness{fill:var(--fairness)}.t-use{fill:var(--use)}
.k-learned{--k:var(--learned)}.k-best{--k:var(--best)}.k-expert{--k:var(--expert)}.k-planner{--k:var(--planner)}
.k-oracle{--k:var(--oracle)}.k-other{--k:var(--other)}.k-bound{--k:var(--bound)}
.c-0{--k:var(--c0)}.c-1{--k:var(--c1)}.c-2{--k:var(--c2)}.c-3{--k:var(--c3)}.c-4{--k:var(--c4)}.c-5{--k:var(--c5)}.c-6{--k:var(--c6)}
.k-learned text,.k-best text,.k-expert text,.k-bound text{font-weight:600}
.row text.small,.row text.value{font-weight:400}
.choose{margin:.4rem 0;font-size:.9rem;color:var(--muted)}
.choose select{font:inherit;color:var(--ink);background:var(--bg);border:1px solid var(--faint);border-radius:4px;padding:.15rem .3rem}
.chosen [data-policy]{opacity:.28}
.chosen [data-policy].on{opacity:1}
@media (max-width:520px){body{padding:18px 14px 40px}h1{font-size:1.35rem}.verdict{font-size:1.05rem}
.tiles{grid-template-columns:repeat(auto-fit,minmax(140px,1fr));gap:.6rem 1rem}.tile b{font-size:1.4rem}.answer{padding:.7rem .8rem}
svg text{font-size:13px}svg .tick,svg .small{font-size:12px}svg .name{font-size:12.5px}svg .direct{font-size:12.5px}
.facts th,.facts td{display:block;padding:.1rem .2rem;border:0;min-width:0}.facts td{padding-bottom:.5rem}}
@media print{html{font-size:10.5pt}body{max-width:none;padding:0}.choose,.readout,details:not([open]){display:none}.tiles{grid-template-columns:repeat(4,1fr)}.lead{break-after:avoid}
figure,.answer,tr,h2,h3{break-inside:avoid}h2,h3,caption{break-after:avoid}
.figures{grid-template-columns:1fr 1fr;gap:14pt 18pt}.scroll{overflow:visible}pre{white-space:pre-wrap}
.answer{border:1px solid var(--faint);border-left:5px solid var(--k)}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}
table{font-size:8.5pt}th,td{padding:.15rem .4rem}}
@page{margin:14mm}
)";
}

const char* report_script() {
  return R"(
'use strict';
(function () {
  var data = JSON.parse(document.getElementById('cra-data').textContent);
  function words(x) {
    return x === null || x === undefined ? '' : String(Number(x.toPrecision(3)));
  }
  // What is under the pointer in a map of nodes and slots.
  document.querySelectorAll('g.map').forEach(function (map) {
    var episode = data.results[map.dataset.case].trajectory;
    var policy = episode.policies[map.dataset.actor];
    var box = map.dataset.box.split(' ').map(Number);
    var svg = map.ownerSVGElement;
    var out = svg.parentNode.querySelector('.readout');
    svg.addEventListener('pointermove', function (event) {
      var at = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
      var rows = policy.share.length, columns = policy.share[0].length;
      var n = Math.floor((at.y - box[1]) / (box[3] - box[1]) * rows);
      var t = Math.floor((at.x - box[0]) / (box[2] - box[0]) * columns);
      var share = (policy.share[n] || [])[t];
      if (share === undefined) { out.textContent = ''; return; }
      var load = policy.load[n][t];
      out.textContent = 'node ' + episode.node[n] + ', slot ' + t * episode.slots_per_column +
        ': share ' + words(share) + (load === null ? '' : ', to do ' + words(load) + ' wu') +
        ', error ' + words(policy.error[n][t]);
    });
    svg.addEventListener('pointerleave', function () { out.textContent = ''; });
  });
  // One policy out of all figures that have a row for each.
  var names = [];
  document.querySelectorAll('g[data-policy]').forEach(function (row) {
    if (names.indexOf(row.dataset.policy) === -1) names.push(row.dataset.policy);
  });
  function choose(name) {
    document.body.classList.toggle('chosen', name !== '');
    document.querySelectorAll('[data-policy]').forEach(function (row) {
      row.classList.toggle('on', row.dataset.policy === name);
    });
  }
  var place = document.querySelector('#policies h2');
  if (names.length === 0 || place === null) return;
  var label = document.createElement('label');
  label.className = 'choose';
  label.textContent = 'Point out a policy: ';
  var select = document.createElement('select');
  [''].concat(names).forEach(function (name) {
    var option = document.createElement('option');
    option.value = name;
    option.textContent = name === '' ? 'none' : name;
    select.appendChild(option);
  });
  select.addEventListener('change', function () { choose(select.value); });
  label.appendChild(select);
  place.after(label);
})();
)";
}

}  // namespace cra::tools
