//! A document as a session of a shell: its files, configurations and commands in their order, in a folder and a network
//! of its own, so that every port that a page names is free.

use std::fmt::Write;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::given;
use crate::snippet::{Snippet, fits};

/// A session that takes longer hangs.
const PATIENCE_S: &str = "60";

/// What the script of every session begins with.
const PREAMBLE: &str = r#"
set -eu
pids=; main=
trap 'for pid in $pids; do kill -9 "$pid" 2>/dev/null || :; done' EXIT
fail() { echo "$1" >> failure; exit 9; }
until_ok() { n=0; until "$@" >/dev/null 2>&1; do n=$((n + 1)); [ $n -lt 400 ] || fail "waited in vain: $*"; sleep 0.025; done; }
generation() { curl -s http://127.0.0.1:9900/readyz | sed 's/.*"generation":\([0-9]*\).*/\1/'; }
newer() { [ "$(generation)" != "$1" ]; }
# A file that a reader saves; a gateway that runs with it takes it over.
save() {
    before=; if [ -n "$main" ] && [ "$2" = tollgate.yaml ]; then before=$(generation); fi
    mkdir -p "$(dirname "$2")"; cp "$1" "$2.new"; mv "$2.new" "$2"
    if [ -n "$before" ]; then until_ok newer "$before"; fi
}
check() {
    tollgate check -c "$1" > check.out 2>&1 || fail "refused: $(cat check.out)"
    if grep -q '^warning' check.out; then fail "warned about: $(cat check.out)"; fi
}
# What stands in `http` of an nginx.conf.
nginx_accepts() {
    mkdir -p nginx; cp ./*.pem ./*.key nginx/
    temporary=; for kind in client_body proxy fastcgi uwsgi scgi; do temporary="$temporary ${kind}_temp_path $kind;"; done
    { echo "user root; pid nginx.pid; error_log stderr; events {} http { access_log off; $temporary"; cat "$1"; echo '}'; } > nginx/nginx.conf
    nginx -t -q -p "$PWD/nginx" -c nginx.conf > nginx.out 2>&1 || fail "refused by nginx: $(cat nginx.out)"
}
# What a `guard` or an `if` may be.
expression() {
    cat > checked.yaml <<'END'
issuers: { main: { issuer: "https://id.example.com/", audience: [api], algorithms: [RS256] } }
routes:
  - path: /tenants/{tenant}
    auth: { jwt: main }
    to: http://127.0.0.1:3000
    guard:
      - if: >-
END
    sed 's/^/          /' "$1" >> checked.yaml
    check checked.yaml
}
"#;

/// What runs in the place of a document's commands, and what came of it.
pub(crate) struct Session<'a> {
    /// The document, for messages.
    pub(crate) document: &'a str,
    pub(crate) snippets: &'a [Snippet],
    pub(crate) dir: &'a Path,
}

impl Session<'_> {
    /// Runs all of it. The first thing that is not as the page says comes back.
    pub(crate) fn run(&self, alone: bool) -> Result<(), String> {
        let script = given::script(self.document);
        given::certificates(self.dir);
        let mut whole = format!("{PREAMBLE}root='{}'\n{script}\n", crate::root().display());
        let blocks = self.dir.join(".blocks");
        fs::create_dir(&blocks).expect("a folder");
        for (number, snippet) in self.snippets.iter().enumerate() {
            let text = if snippet.language == "yaml" {
                given::completed(&snippet.text)
            } else {
                snippet.text.clone()
            };
            fs::write(blocks.join(number.to_string()), text).expect("a file");
            let next = self.snippets.get(number + 1).filter(|next| next.language == "output");
            let _ = writeln!(whole, "echo {} > at", snippet.line);
            step(&mut whole, number, snippet, next.is_some());
        }
        fs::write(self.dir.join(".script"), whole).expect("a file");
        let status = command(self.dir, alone).status().expect("a shell runs");
        let read = |name: String| fs::read_to_string(self.dir.join(name)).unwrap_or_default();
        if !status.success() {
            let (at, why) = (read("at".to_owned()), read("failure".to_owned()));
            let number = self.snippets.iter().position(|snippet| snippet.line.to_string() == at.trim());
            let number = number.unwrap_or_default();
            let (out, err) = (read(format!(".out{number}")), read(format!(".err{number}")));
            return Err(format!(
                "{}:{}: fails ({status}): {why}\n{out}\n{err}\n{}",
                self.document,
                at.trim(),
                read("stderr".to_owned())
            ));
        }
        for (number, snippet) in self.snippets.iter().enumerate().skip(1) {
            let before = number - 1;
            let printed = read(format!(".out{before}"));
            if snippet.language == "output" && !fits(&snippet.text, &printed) {
                return Err(format!(
                    "{}:{}: the page shows\n{}\nand this was printed:\n{printed}",
                    self.document, snippet.line, snippet.text
                ));
            }
            let said = read(format!(".err{number}"));
            if snippet.language == "sh" && said.lines().any(|line| line.starts_with("warning")) {
                return Err(format!("{}:{}: warns:\n{said}", self.document, snippet.line));
            }
        }
        Ok(())
    }
}

/// What the script does for a block.
fn step(whole: &mut String, number: usize, snippet: &Snippet, is_shown: bool) {
    let block = format!(".blocks/{number}");
    let file = snippet.file();
    let _ = match snippet.language.as_str() {
        "yaml" => {
            let name = file.unwrap_or("tollgate.yaml");
            writeln!(whole, "cp {block} checked.yaml; check checked.yaml; save {block} {name}")
        }
        "lua" => {
            let name = file.unwrap_or("block.lua");
            let route = "routes: [{ path: /, to: \"http://127.0.0.1:3000\", lua: SCRIPT }]";
            let route = route.replace("SCRIPT", name);
            writeln!(whole, "save {block} {name}; echo '{route}' > checked.yaml; check checked.yaml")
        }
        "html" => writeln!(whole, "save {block} {}", file.expect("a page is a file")),
        "nginx" => writeln!(whole, "nginx_accepts {block}"),
        "cel" => writeln!(whole, "expression {block}"),
        "sh" if snippet.is("background") => background(whole, number, &snippet.text),
        "sh" if snippet.is("served") => {
            let run = run(number, snippet, is_shown);
            writeln!(
                whole,
                "tollgate run > gateway.log 2>&1 &\nserved=$!; pids=\"$pids $served\"; \
                 until_ok tollgate status --ready\n{run}\nkill -9 $served; wait $served 2>/dev/null || :"
            )
        }
        "sh" => writeln!(whole, "{}", run(number, snippet, is_shown)),
        _ => Ok(()),
    };
}

fn run(number: usize, snippet: &Snippet, is_shown: bool) -> String {
    let block = format!(". ./.blocks/{number}");
    let to =
        if is_shown { format!("> .out{number} 2>&1") } else { format!("> .out{number} 2> .err{number}") };
    if snippet.is("fails") {
        return format!("if ( {block} ) {to}; then fail 'succeeds, and the page says that it fails'; fi");
    }
    format!("{{ {block}; }} {to}")
}

/// A program in another terminal of the reader: it stays until the page ends.
fn background(whole: &mut String, number: usize, text: &str) -> std::fmt::Result {
    let command = text.trim();
    assert!(!command.contains('\n'), "one program stays: {command}");
    writeln!(whole, "sh -c 'exec {command}' > .out{number} 2>&1 &\npids=\"$pids $!\"")?;
    match command.strip_prefix("tollgate run") {
        Some("") => writeln!(whole, "until_ok tollgate status --ready; main=yes"),
        Some(options) => writeln!(whole, "until_ok tollgate status --ready{options}"),
        None => writeln!(whole, "until_ok grep -q 'Ctrl-C stops' .out{number}"),
    }
}

/// The shell, in a network of its own where that can be had.
fn command(dir: &Path, alone: bool) -> Command {
    let binary = Path::new(env!("CARGO_BIN_EXE_tollgate"));
    let binary = std::env::var("TOLLGATE_DOCS_BINARY").map_or_else(|_| binary.to_owned(), Into::into);
    let folder = binary.parent().expect("a binary is in a folder").display();
    let path = format!("{folder}:{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", PATIENCE_S]);
    if alone {
        command.args(UNSHARE).args(["sh", "-c", "ip link set lo up && exec sh .script"]);
    } else {
        command.args(["sh", ".script"]);
    }
    let stderr = fs::File::create(dir.join("stderr")).expect("a file");
    command.current_dir(dir).env("PATH", path).env("NO_COLOR", "1").process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
    command
}

const UNSHARE: [&str; 3] = ["unshare", "--net", "--map-root-user"];

/// Whether a session can have a network of its own; else the ports of this machine are used, one session after the other.
pub(crate) fn networks() -> bool {
    let mut command = Command::new(UNSHARE[0]);
    command.args(&UNSHARE[1..]).args(["sh", "-c", "ip link set lo up"]);
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    command.env("PATH", path).stdin(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
