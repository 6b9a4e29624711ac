//! Secrets that the gateway needs as they are: what is made refers to them as `${NAME}`, and never holds them.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tollgate_plan::secret::Secret;

use crate::sources::{Listed, Sources};

/// The key of a value that stands for a variable. No document's own key is taken for it: [`name_of`] asks for more.
const MARK: &str = "\u{0}variable";

/// How every name begins: a document that has the mark in it could name nothing else of the environment.
const PREFIX: &str = "IMPORTED_";

/// A secret, and the environment variable that has to hold it.
#[derive(Debug, Clone)]
pub struct Variable {
    /// The variable.
    pub name: String,
    /// Where the secret stands in the source.
    pub element: String,
    /// The secret.
    pub value: Secret,
}

/// The secrets of a draft.
#[derive(Debug, Default)]
pub(super) struct Secrets {
    list: Vec<Variable>,
    taken: BTreeSet<String>,
}

impl Secrets {
    /// What stands in the place of a secret. The same secret of one kind has one name, however often it is met.
    pub(super) fn refer(&mut self, kind: &str, element: &str, value: &str) -> Value {
        let fits = |one: &&Variable| one.value.expose() == value && one.name.starts_with(&name(kind));
        if let Some(known) = self.list.iter().find(fits) {
            return json!({ MARK: known.name });
        }
        let wanted = name(kind);
        let numbered = (2..).map(|number: u64| format!("{wanted}_{number}"));
        let free = std::iter::once(wanted.clone()).chain(numbered).find(|one| !self.taken.contains(one));
        let name = free.unwrap_or(wanted);
        self.taken.insert(name.clone());
        let element = super::findings::one_line(element);
        self.list.push(Variable { name: name.clone(), element, value: Secret::from(value) });
        json!({ MARK: name })
    }

    /// Those that a text refers to: what did not pass `check` went away, and its secret with it.
    pub(super) fn of_text(self, text: &str) -> Vec<Variable> {
        let used = |one: &Variable| text.contains(&format!("${{{}}}", one.name));
        self.list.into_iter().filter(used).collect()
    }

    /// The world in which these variables are set.
    pub(super) fn set<'a>(&'a self, world: &'a dyn Sources) -> Set<'a> {
        Set { variables: &self.list, world }
    }
}

/// The name of the variable that a value stands for.
pub(super) fn name_of(value: &Value) -> Option<&str> {
    let map = value.as_object().filter(|map| map.len() == 1)?;
    let name = map.get(MARK)?.as_str()?;
    let plain = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    (name.starts_with(PREFIX) && name.bytes().all(plain)).then_some(name)
}

/// The name that `value` refers to, for a note about it.
pub(super) fn shown(value: &Value) -> String {
    name_of(value).map_or_else(String::new, |name| format!("`${{{name}}}`"))
}

/// As lines for a shell, and for `EnvironmentFile=` of systemd.
pub fn environment_file(variables: &[Variable]) -> String {
    let mut out = String::new();
    for one in variables {
        let mut value = String::new();
        for letter in one.value.expose().chars() {
            if "\"\\$`".contains(letter) {
                value.push('\\');
            }
            value.push(letter);
        }
        // Writing to a String cannot fail.
        let _ = writeln!(out, "# {}\n{}=\"{value}\"", one.element, one.name);
    }
    out
}

fn name(kind: &str) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    format!("{PREFIX}{}", kind.chars().map(letter).collect::<String>())
}

/// See [`Secrets::set`].
pub(super) struct Set<'a> {
    variables: &'a [Variable],
    world: &'a dyn Sources,
}

impl Sources for Set<'_> {
    fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        self.world.read(path, limit)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<Listed>> {
        self.world.list(directory)
    }

    fn identity(&self, path: &Path) -> PathBuf {
        self.world.identity(path)
    }

    fn variable(&self, name: &str) -> Option<String> {
        let own = self.variables.iter().find(|one| one.name == name);
        own.map(|one| one.value.expose().to_owned()).or_else(|| self.world.variable(name))
    }

    fn withholds(&self) -> bool {
        self.world.withholds()
    }

    fn cores(&self) -> usize {
        self.world.cores()
    }

    fn now(&self) -> i64 {
        self.world.now()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_secret_has_one_name_and_two_have_two() {
        let mut secrets = Secrets::default();
        let first = secrets.refer("jwt secret of a.b", "x", "one");
        assert_eq!(name_of(&first), Some("IMPORTED_JWT_SECRET_OF_A_B"));
        assert_eq!(secrets.refer("jwt secret of a.b", "x", "one"), first);
        let second = secrets.refer("jwt secret of a-b", "y", "two");
        assert_eq!(name_of(&second), Some("IMPORTED_JWT_SECRET_OF_A_B_2"));
        let used = secrets.of_text("secret: \"${IMPORTED_JWT_SECRET_OF_A_B_2}\"");
        assert_eq!(used.iter().map(|one| &*one.element).collect::<Vec<_>>(), ["y"]);
    }

    /// A document may have the mark as a key of its own: it names nothing of the environment.
    #[test]
    fn a_document_names_no_variable() {
        for name in ["HOME", "IMPORTED_A}${HOME", "imported_a", ""] {
            assert_eq!(name_of(&json!({ MARK: name })), None, "{name}");
        }
        assert_eq!(name_of(&json!({ MARK: "IMPORTED_A", "b": 1 })), None);
    }

    #[test]
    fn a_shell_reads_back_what_was_written() {
        let value = Secret::from("a'b\"c\\d$e`f g");
        let one = Variable { name: "IMPORTED_A".to_owned(), element: "consumers.a".to_owned(), value };
        let text = environment_file(&[one]);
        assert_eq!(text, "# consumers.a\nIMPORTED_A=\"a'b\\\"c\\\\d\\$e\\`f g\"\n");
    }
}
