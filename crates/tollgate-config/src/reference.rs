//! The configuration reference as Markdown.

use std::fmt::Write;

use serde_json::Value;

use crate::diagnostic::CODES;
use crate::shape::{BlockDoc, Catalogue, FieldDoc};

const INTRODUCTION: &str = "\
# Configuration reference

One YAML file says everything. `tollgate check` tells what is wrong with it, all of it in one run; `tollgate schema`
prints its JSON Schema. A key that is not listed here is an error.

- Durations: `250ms` `5s` `2m` `1h` `7d`. Sizes: `512B` `64KiB` `10MiB` `1GiB`, decimal `KB` `MB` `GB`. `0` needs no unit.
  Rates: `100/s` `1000/m` `5000/h` `100000/d`.
- In any value: `${NAME}` (an environment variable), `${NAME:-default}` (also when it is empty) and `${file:/path}` (one
  newline at its end is dropped). `$$` is a dollar sign. They are expanded after YAML is parsed: a value never adds
  structure, and braces in it are no placeholders.
- Text that looks like a number or a boolean is quoted: `x-version: \"2\"`.
- Templates: `{id}` (a parameter of the path), `{host}` (the name, without a port) `{path}` `{query}` `{method}` `{scheme}`
  `{client_ip}` `{request_id}` `{route}` `{consumer}` (the owner of the key or password), `{header:x}` `{query:x}`
  `{cookie:x}` `{claim:sub}` (of the token, a dotted path); `{{` and `}}` are braces.
- Literal secrets are masked wherever the configuration is shown; better they come from `${NAME}` or `${file:/path}`.
- Relative paths stand beside the file in which they are written. YAML tags, merge keys (`<<`) and several documents in one
  file are refused; anchors and aliases work.
";

/// Every key with its type, default and meaning, and every diagnostic code.
pub fn reference_markdown() -> String {
    let catalogue = Catalogue::whole();
    let mut out = String::from(INTRODUCTION);
    for block in catalogue.blocks() {
        section(block, &mut out);
    }
    out.push_str(
        "\n## Diagnostics\n\nEvery finding carries one of these codes.\n\n| code | meaning |\n|---|---|\n",
    );
    for (code, meaning) in CODES {
        line(&mut out, format_args!("| `{code}` | {} |", meaning.trim()));
    }
    out
}

fn section(block: &BlockDoc, out: &mut String) {
    line(out, format_args!("\n## {}\n\n{}\n", block.title, block.about));
    line(out, format_args!("| key | type | default | meaning |\n|---|---|---|---|"));
    for field in &block.fields {
        row(field, out);
    }
}

fn row(field: &FieldDoc, out: &mut String) {
    let default = match (&field.default, field.required) {
        (Some(default), _) => format!("`{}`", written(default)),
        (None, true) => "required".to_owned(),
        (None, false) => String::new(),
    };
    let (label, about) = (cell(&field.description.label), cell(&field.about()));
    line(out, format_args!("| `{}` | {label} | {default} | {about} |", field.key));
}

fn written(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{text}");
}
