// A line of YAML in colours: `[{ text, kind }]`. It is for the eye alone, so it looks at one line at a time.

const RULES = [
  ["remark", /^(?:^|\s)#.*$/],
  ["text", /^"(?:[^"\\]|\\.)*"?|^'[^']*'?/],
  ["given", /^\$\{[^}]*\}?|^\{[\w.:*-]+\}/],
  ["key", /^[\w$~./*-]+(?=\s*:(?:\s|$))/],
  ["number", /^-?\d[\w.%/]*(?=[\s,\]}]|$)/],
  ["word", /^(?:true|false|null|auto|off|public)(?=[\s,\]}]|$)/],
  ["sign", /^[{}[\],:>|&*!-](?=[\s,{}[\]"']|$)/],
];

export function colour(line) {
  const parts = [];
  let at = 0;
  while (at < line.length) {
    const rest = line.slice(at);
    const edge = at === 0 || /[\s,{}[\]:]/.test(line[at - 1]);
    const found = RULES.find(([kind, rule]) => (edge || kind === "sign" || kind === "given") && rule.test(rest));
    const text = found ? rest.match(found[1])[0] : /^\s+|^[^\s,{}[\]:]+|^./.exec(rest)[0];
    add(parts, text, found ? found[0] : "");
    at += text.length;
  }
  return parts;
}

function add(parts, text, kind) {
  const last = parts[parts.length - 1];
  if (last && last.kind === kind) last.text += text;
  else parts.push({ text, kind });
}
