// What a run found: rows of figures, their medians and spreads as a table (text and Markdown), plots as SVG.

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  return sorted.length % 2 ? sorted[Math.floor(middle)] : (sorted[middle - 1] + sorted[middle]) / 2;
}

const shown = (value) =>
  value === 0 ? '0' : Math.abs(value) >= 1000 ? value.toFixed(0) : Math.abs(value) >= 100 ? value.toFixed(0) : Math.abs(value) >= 10 ? value.toFixed(1) : value.toFixed(2);

/** "median (least to most)", or the one value there is, or a dash. */
export function cell(values) {
  const known = (values ?? []).filter((value) => Number.isFinite(value));
  if (known.length === 0) return '–';
  const least = Math.min(...known), most = Math.max(...known);
  return known.length === 1 || least === most ? shown(median(known)) : `${shown(median(known))} (${shown(least)}–${shown(most)})`;
}

/** rows: [{ case, who, figures: { name: [values] } }] of one scenario; one table, a row each. */
export function markdownTable(rows) {
  const names = [...new Set(rows.flatMap((row) => Object.keys(row.figures)))];
  const line = (cells) => `| ${cells.join(' | ')} |`;
  return [
    line(['case', 'who', ...names]), line(['---', '---', ...names.map(() => '---:')]),
    ...rows.map((row) => line([row.case, row.who, ...names.map((name) => cell(row.figures[name]))])),
  ].join('\n');
}

const escape = (text) => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);

/** Horizontal bars of the medians of one figure, with a whisker from least to most. */
export function svgBars(title, bars) {
  const left = 260, width = 420, height = 24, top = 44;
  const most = Math.max(...bars.flatMap((bar) => bar.values), 1e-9);
  const x = (value) => left + (value / most) * width;
  const rows = bars.map((bar, i) => {
    const y = top + i * height, middle = median(bar.values);
    const color = bar.who === 'Parley' ? '#1f6feb' : '#8b949e';
    return `<text x="${left - 8}" y="${y + 14}" text-anchor="end">${escape(bar.label)}</text>
<rect x="${left}" y="${y + 3}" width="${Math.max(1, x(middle) - left).toFixed(1)}" height="14" fill="${color}"/>
<line x1="${x(Math.min(...bar.values)).toFixed(1)}" x2="${x(Math.max(...bar.values)).toFixed(1)}" y1="${y + 10}" y2="${y + 10}" stroke="#000"/>
<text x="${(x(Math.max(...bar.values)) + 6).toFixed(1)}" y="${y + 14}">${shown(middle)}</text>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${left + width + 90}" height="${top + bars.length * height + 10}" font-family="sans-serif" font-size="12">
<rect width="100%" height="100%" fill="#fff"/>
<text x="10" y="22" font-size="15">${escape(title)}</text>
${rows.join('\n')}
</svg>
`;
}
