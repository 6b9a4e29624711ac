//! `tollgate init`: a first configuration with comments, out of three answers. What it writes passes `check`.

use std::fs::OpenOptions;
use std::io::{self, BufRead, IsTerminal, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;

use serde_json::json;
use tollgate_config::{OsSources, load_text};

use super::key;
use crate::cli::InitArgs;
use crate::output::Written;
use crate::{config_file, output};

const TO: &str = "http://127.0.0.1:3000";
const LISTEN: &str = "0.0.0.0:8080";
const AUTH: &str = "all";
const AUDIENCE: &str = "api";

/// Wrong usage, as clap says it.
const USAGE: u8 = 2;

/// Bytes of one answer.
const ANSWER_BYTES_MAX: u64 = 4096;

/// What is asked.
struct Answers {
    to: String,
    auth: Auth,
    listen: String,
}

/// Who may call.
enum Auth {
    All,
    /// Who has the key, which is shown once.
    Key(String),
    Jwt {
        issuer: String,
        audience: String,
    },
}

/// Why there is no configuration.
enum No {
    /// Options that nobody could mean.
    Usage(String),
    Because(String),
}

impl From<String> for No {
    fn from(message: String) -> No {
        No::Because(message)
    }
}

impl Answers {
    /// The key that was made, where one was.
    fn key(&self) -> Option<&str> {
        match &self.auth {
            Auth::Key(key) => Some(key),
            Auth::All | Auth::Jwt { .. } => None,
        }
    }
}

pub(super) fn init(arguments: &InitArgs) -> ExitCode {
    match run(arguments) {
        Ok(written) => written.exit(true),
        Err(No::Because(message)) => {
            output::failed(arguments.json.json, message);
            ExitCode::FAILURE
        }
        Err(No::Usage(message)) => {
            output::failed(arguments.json.json, message);
            USAGE.into()
        }
    }
}

fn run(arguments: &InitArgs) -> Result<Written, No> {
    let to_output = arguments.output == Path::new("-");
    // Before anything is asked.
    if !to_output && !arguments.force && arguments.output.symlink_metadata().is_ok() {
        return Err(exists(&arguments.output).into());
    }
    let answers = answers(arguments)?;
    let text = yaml(&answers);
    checked(&text)?;
    if to_output && arguments.json.json {
        let told = json!({ "ok": true, "file": null, "key": answers.key(), "configuration": text });
        return Ok(output::json(&told));
    }
    if to_output {
        // The key belongs elsewhere than the file.
        if let Auth::Key(key) = &answers.auth {
            output::err(&format!("{}\n", about_key(key)));
        }
        return Ok(output::out(&text));
    }
    write(&arguments.output, &text, arguments.force)?;
    Ok(tell(arguments, &answers))
}

fn exists(path: &Path) -> String {
    format!("{} exists; --force replaces it, -o names another file", path.display())
}

fn answers(arguments: &InitArgs) -> Result<Answers, No> {
    let asks = io::stdin().is_terminal() && io::stderr().is_terminal();
    let answer = |given: &Option<String>, question: &str, default: &str| match given {
        Some(given) => Ok(given.trim().to_owned()),
        None if asks => ask(question, default).map_err(No::Because),
        None => Ok(default.to_owned()),
    };
    let to = answer(&arguments.to, "Which service is behind the gateway?", TO)?;
    let question = "Who may call: `all`, `key` (a key is made), or the URL of an issuer of tokens?";
    let auth = answer(&arguments.auth, question, AUTH)?;
    let listen = answer(&arguments.listen, "Where do clients connect?", LISTEN)?;
    let auth = match auth.as_str() {
        "all" | "none" => Auth::All,
        "key" => {
            let key = key::random_key().ok_or_else(|| "the system gives no random bytes".to_owned())?;
            Auth::Key(key)
        }
        url if url.starts_with("https://") || url.starts_with("http://") => {
            let audience = arguments.audience.clone().unwrap_or_else(|| AUDIENCE.to_owned());
            Auth::Jwt { issuer: url.to_owned(), audience }
        }
        other => {
            let message = format!("`{other}` is neither `all` nor `key` nor the URL of an issuer");
            return Err(if arguments.auth.is_some() { No::Usage(message) } else { No::Because(message) });
        }
    };
    if arguments.audience.is_some() && !matches!(auth, Auth::Jwt { .. }) {
        return Err(No::Usage("--audience is for tokens: --auth names their issuer".to_owned()));
    }
    Ok(Answers { to, auth, listen })
}

fn ask(question: &str, default: &str) -> Result<String, String> {
    output::err(&format!("{question} [{default}] "));
    let mut line = String::new();
    let read = io::Read::take(io::stdin().lock(), ANSWER_BYTES_MAX).read_line(&mut line);
    match read {
        Ok(0) => Err("no answer; options say the same without questions".to_owned()),
        Ok(_) if line.trim().is_empty() => Ok(default.to_owned()),
        Ok(_) => Ok(line.trim().to_owned()),
        Err(error) => Err(format!("the answer cannot be read: {error}")),
    }
}

/// The configuration. Answers are written as JSON strings, which are YAML and hold no structure.
fn yaml(answers: &Answers) -> String {
    let text = |text: &str| json!(text.replace('$', "$$")).to_string();
    let (to, listen) = (text(&answers.to), text(&answers.listen));
    let (who, auth) = match &answers.auth {
        Auth::All => (
            String::new(),
            "    # Everybody may call. To ask for a key: `tollgate key create` prints one, with what belongs here.\n\
             \x20   # auth: { api_key: { header: x-api-key } }\n"
                .to_owned(),
        ),
        Auth::Key(key) => (
            format!(
                "\n# Machine clients. Only the hash of a key stands here; `tollgate key create` makes another key.\n\
                 consumers:\n  - name: first\n    keys: [{}]\n",
                text(&key::hash_of(key))
            ),
            "    auth:\n      api_key: { header: x-api-key }   # else 401 key_missing or key_unknown\n\
             \x20     strip: true                      # the service does not see the key\n"
                .to_owned(),
        ),
        Auth::Jwt { issuer, audience } => (
            format!(
                "\n# Who signs tokens. Its keys are found by OpenID Connect discovery, and kept fresh.\nissuers:\n  main:\n\
                 \x20   issuer: {}\n    audience: [{}]   # what your issuer puts into `aud` for this API\n\
                 \x20   algorithms: [RS256, ES256]\n",
                text(issuer),
                text(audience)
            ),
            "    auth:\n      jwt: main                        # else 401 token_missing, token_expired, …\n\
             \x20     # require: { scopes: [api:read] }  # else 403 scope_missing\n"
                .to_owned(),
        ),
    };
    format!(
        "# The configuration of Tollgate. `tollgate check` says what is wrong with it and who may reach what;\n\
         # `tollgate run` serves it, and reloads it when this file changes.\n\
         # All keys are in docs/reference/configuration.md; `tollgate schema` is for editors that complete them.\n\
         \nlisteners:\n  - address: {listen}\n\
         \n# Metrics, health and the API for operators: `tollgate status`, `tollgate top`.\nadmin:\n  address: 127.0.0.1:9900\n\
         {who}\
         \nupstreams:\n  service:\n    targets: [{to}]\n    timeout: 30s   # to the beginning of an answer\n\
         \nroutes:\n  - name: service\n    path: /*        # all paths; `/orders/{{id}}` is one with a parameter\n\
         {auth}\
         \x20   # The most that one client address may ask for; beyond it 429.\n\
         \x20   rate_limit: {{ rate: 100/s, per: ip }}\n    to: service\n"
    )
}

/// An answer that is no address or no URL is found as every mistake in a configuration is.
fn checked(text: &str) -> Result<(), String> {
    match load_text("tollgate.yaml", text, &OsSources) {
        Ok(_) => Ok(()),
        Err(failed) => {
            config_file::show(&failed.diagnostics, &failed.sources);
            Err("the answers make no good configuration; nothing was written".to_owned())
        }
    }
}

fn write(path: &Path, text: &str, force: bool) -> Result<(), String> {
    let mut options = OpenOptions::new();
    options.write(true);
    // Somebody may have made the file since it was looked for.
    if force {
        options.create(true).truncate(true)
    } else {
        options.create_new(true)
    };
    let written = options.open(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => exists(path),
        _ => format!("{} cannot be written: {error}", path.display()),
    })
}

fn tell(arguments: &InitArgs, answers: &Answers) -> Written {
    let file = arguments.output.display();
    let key = answers.key();
    if arguments.json.json {
        return output::json(&json!({ "ok": true, "file": file.to_string(), "key": key }));
    }
    let reached = reached(&answers.listen);
    let header = match &answers.auth {
        Auth::All => String::new(),
        Auth::Key(key) => format!(" -H 'x-api-key: {key}'"),
        Auth::Jwt { .. } => " -H \"Authorization: Bearer $TOKEN\"".to_owned(),
    };
    let key = key.map(|key| format!("{}\n", about_key(key))).unwrap_or_default();
    output::out(&format!(
        "wrote {file}\n{key}next:\n  tollgate check -c {file}\n  tollgate run -c {file}\n  curl{header} {reached}\n"
    ))
}

/// The end of a command line of curl that reaches a listener from this machine.
fn reached(listen: &str) -> String {
    if let Some(path) = listen.strip_prefix("unix:") {
        return format!("--unix-socket '{}' http://localhost/", path.replace('\'', "'\\''"));
    }
    match listen.parse::<SocketAddr>() {
        Ok(at) if at.ip().is_unspecified() => {
            let host = if at.is_ipv4() { "127.0.0.1" } else { "[::1]" };
            format!("http://{host}:{}/", at.port())
        }
        // A configuration with another address is refused.
        _ => format!("http://{listen}/"),
    }
}

fn about_key(key: &str) -> String {
    format!("the key, which is shown this once: {key}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_curl_is_told_reaches_the_listener() {
        for (listen, expect) in [
            (LISTEN, "http://127.0.0.1:8080/"),
            ("192.168.1.5:80", "http://192.168.1.5:80/"),
            ("127.0.0.2:81", "http://127.0.0.2:81/"),
            ("[::]:8081", "http://[::1]:8081/"),
            ("[fd00::7]:8081", "http://[fd00::7]:8081/"),
            ("unix:/tmp/x.sock", "--unix-socket '/tmp/x.sock' http://localhost/"),
            ("unix:/tmp/it's.sock", "--unix-socket '/tmp/it'\\''s.sock' http://localhost/"),
        ] {
            assert_eq!(reached(listen), expect);
        }
    }

    #[test]
    fn whatever_is_answered_makes_a_good_configuration_or_none() {
        let key = || Auth::Key("tg_0123456789012345678901234567890123456789012".to_owned());
        let jwt = || Auth::Jwt { issuer: "https://id.example.com/".into(), audience: "orders".into() };
        for (to, auth, listen, good) in [
            (TO, Auth::All, LISTEN, true),
            (TO, key(), "[::]:8080", true),
            ("https://api.example.com/v1", jwt(), "unix:/run/tollgate.sock", true),
            ("ftp://x", Auth::All, LISTEN, false),
            ("not an address", Auth::All, LISTEN, false),
            ("http://x\"]\nevil: 1", Auth::All, LISTEN, false),
            ("http://${HOME}", Auth::All, LISTEN, false),
            (TO, Auth::All, "8080", false),
        ] {
            let text = yaml(&Answers { to: to.into(), auth, listen: listen.into() });
            assert_eq!(load_text("tollgate.yaml", &text, &OsSources).is_ok(), good, "{to} {listen}:\n{text}");
        }
    }
}
