// A text field that knows the configuration: colours, line numbers, faults in their lines, completion.
//
// The field itself is a plain textarea, so that everything a browser does with text goes on working; the colours lie
// beneath it, line for line.

import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { colour } from "./colour.js";
import { complete } from "./complete.js";

/** Beyond it lines are not coloured: each keystroke would be felt. */
const COLOURED_MAX = 150_000;

/** `faults`: a map from a line, from 1, to `error` or `warning`. `goto`: `{ line }`, a line to be shown. */
export function Editor({ text, change, faults, schema, document, goto }) {
  const field = useRef(null);
  const under = useRef(null);
  const [offer, setOffer] = useState(null);
  const [at, setAt] = useState(0);
  const lines = useMemo(() => text.split("\n"), [text]);

  const scroll = () => {
    under.current.scrollTop = field.current.scrollTop;
    under.current.scrollLeft = field.current.scrollLeft;
  };
  useEffect(() => {
    if (goto?.line) show(field.current, lines, goto.line);
  }, [goto]);
  useLayoutEffect(scroll, [text]);

  const propose = (asked) => {
    const { value, selectionStart, selectionEnd } = field.current;
    const found = selectionStart === selectionEnd && schema ? complete(value, selectionStart, schema, document) : null;
    // Unasked it helps only who has begun a word.
    const fits = found && (asked || found.from < selectionStart);
    setOffer(fits ? { ...found, place: placeOf(field.current, found.from) } : null);
    setAt(0);
  };
  const take = (option) => {
    const { selectionStart } = field.current;
    insert(field.current, offer.from, selectionStart, option.insert);
    setOffer(null);
  };
  const press = (event) => {
    if (offer) {
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (step) setAt((at + step + offer.options.length) % offer.options.length);
      else if (event.key === "Enter" || event.key === "Tab") take(offer.options[at]);
      else if (event.key === "Escape") setOffer(null);
      else return;
      event.preventDefault();
    } else if (event.key === " " && event.ctrlKey) {
      event.preventDefault();
      propose(true);
    } else if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      newLine(field.current);
    }
  };
  const typed = (event) => {
    change(event.currentTarget.value);
    propose(false);
  };
  return (
    <div class="editor">
      <div class="under" ref={under} aria-hidden="true">
        {lines.map((line, index) => <Line key={index} line={line} fault={faults.get(index + 1)} plain={text.length > COLOURED_MAX} />)}
      </div>
      <textarea
        ref={field}
        aria-label="Configuration, as YAML"
        aria-describedby="editor-help"
        aria-autocomplete="list"
        aria-controls={offer ? "offer" : undefined}
        aria-activedescendant={offer ? `offer-${at}` : undefined}
        aria-haspopup="listbox"
        value={text}
        spellcheck={false}
        autocapitalize="off"
        autocomplete="off"
        wrap="off"
        onInput={typed}
        onKeyDown={press}
        onScroll={scroll}
        onClick={() => setOffer(null)}
        onBlur={() => setOffer(null)}
      />
      {offer ? <Offer offer={offer} at={at} take={take} /> : null}
    </div>
  );
}

function Line({ line, fault, plain }) {
  return (
    <div class={`line-of ${fault ?? ""}`}>
      {plain ? line : colour(line).map(({ text, kind }, at) => (kind ? <i key={at} class={kind}>{text}</i> : text))}
    </div>
  );
}

function Offer({ offer, at, take }) {
  const list = useRef(null);
  useEffect(() => {
    list.current.children[at]?.scrollIntoView({ block: "nearest" });
  }, [at]);
  return (
    <div class="offer" style={offer.place}>
      <ul id="offer" role="listbox" aria-label="What fits here" ref={list}>
        {offer.options.map((option, index) => (
          // A press would take the focus from the field before the click is done.
          <li key={option.label} id={`offer-${index}`} role="option" aria-selected={index === at} onMouseDown={(event) => event.preventDefault()} onClick={() => take(option)}>
            {option.label}
          </li>
        ))}
      </ul>
      {offer.options[at]?.about ? <p>{offer.options[at].about}</p> : null}
    </div>
  );
}

/** Replaces a part of the field's text so that the browser's own undo knows of it. */
function insert(field, from, to, text) {
  field.focus();
  field.setSelectionRange(from, to);
  // Deprecated and without a successor: only it keeps the history of a text field.
  if (!document.execCommand("insertText", false, text)) {
    field.setRangeText(text, from, to, "end");
    field.dispatchEvent(new Event("input", { bubbles: true }));
  }
}

/** A new line begins as deep as the last one, or deeper where that opens a block. */
function newLine(field) {
  const { value, selectionStart, selectionEnd } = field;
  const line = value.slice(value.lastIndexOf("\n", selectionStart - 1) + 1, selectionStart);
  const spaces = /^\s*/.exec(line)[0];
  const dash = /^\s*- +(?=\S)/.exec(line);
  const inside = dash ? " ".repeat(dash[0].length) : spaces;
  insert(field, selectionStart, selectionEnd, `\n${inside}${/:\s*$/.test(line) ? "  " : ""}`);
}

/** Where the word that is being written stands on the screen; a letter's measure is in the style sheet. */
function placeOf(field, from) {
  const before = field.value.slice(0, from).split("\n");
  const style = getComputedStyle(field);
  const height = parseFloat(style.lineHeight);
  const width = parseFloat(style.fontSize) * 0.6;
  const left = parseFloat(style.paddingLeft) + before[before.length - 1].length * width - field.scrollLeft;
  const top = parseFloat(style.paddingTop) + before.length * height - field.scrollTop;
  const place = { left: `${Math.max(8, Math.min(left, field.clientWidth - 240))}px` };
  // In the lower half there is more room above the line than below it.
  if (top > field.clientHeight / 2) return { ...place, bottom: `${field.clientHeight - top + height}px` };
  return { ...place, top: `${top}px` };
}

/** Puts the cursor at the beginning of a line, and the line into sight. */
function show(field, lines, line) {
  const offset = lines.slice(0, line - 1).reduce((sum, one) => sum + one.length + 1, 0);
  const height = parseFloat(getComputedStyle(field).lineHeight);
  field.focus();
  field.setSelectionRange(offset, offset);
  field.scrollTop = Math.max(0, (line - 4) * height);
}
