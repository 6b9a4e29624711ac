//! OpenAPI 3.0 and 3.1: whether a request is one that a description of an interface has.
//!
//! A description is read from its files ([`Documents`]) and compiled ([`OpenApi`]). Then the operation of a request is
//! found by its method and path, and its parameters and its body are checked. What answers, security and callbacks are
//! described as is not looked at.

mod documents;
mod dialect;
mod schemas;

mod path;
mod operation;
mod parameter;
mod body;

mod style;
mod meant;
mod text;

use std::fmt;

pub use body::BodyCheck;
use documents::At;
pub use documents::{Documents, Fault, Load};
use operation::Operation;
use path::{Paths, Template};
use schemas::Schemas;
use text::Pairs;

/// Faults of a description that are told at once.
const FAULTS_MAX: usize = 20;

/// Faults of a request that are told; the others wait until these are gone.
const TOLD: usize = 3;

/// The operations of a description.
pub struct OpenApi {
    paths: Paths<Item>,
    /// `METHOD /path`, for people.
    operations: Vec<String>,
}

/// A path, and what can be done with it.
#[derive(Default)]
struct Item {
    /// As it is written.
    path: String,
    /// By method, in the order of the description.
    operations: Vec<(String, Operation)>,
}

/// The operation that a request asks for.
pub struct Call<'a, 'p> {
    operation: &'a Operation,
    /// What stands for the variables of the path.
    values: Vec<&'p str>,
}

/// What a request gives for parameters.
struct Given<'g> {
    path: Vec<(&'g str, &'g str)>,
    query: &'g Pairs<'g>,
    cookies: &'g Pairs<'g>,
    header: Header<'g>,
}

/// The value under a lower-case name; lines of one name are joined by `, `, those of `cookie` by `; `.
pub type Header<'g> = &'g dyn Fn(&str) -> Option<String>;

/// Names of the operations are enough: a description is as long as its file.
impl fmt::Debug for OpenApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OpenApi").field(&self.operations).finish()
    }
}

impl OpenApi {
    /// Compiles a description, or says all that is wrong with it. `base` is the path in front of its paths; without, its
    /// `servers` say that.
    pub fn compile(documents: &Documents, base: Option<&str>) -> Result<OpenApi, Vec<Fault>> {
        let schemas = Schemas::new(documents).map_err(|fault| vec![fault])?;
        let base = base.map(|base| vec![path::base(base)]);
        let (paths, operations, faults) = (Paths::default(), Vec::new(), Vec::new());
        let mut compiler = Compiler { schemas, base, paths, operations, faults };
        compiler.all(&documents.root());
        let Compiler { paths, operations, mut faults, .. } = compiler;
        faults.truncate(FAULTS_MAX);
        if faults.is_empty() { Ok(OpenApi { paths, operations }) } else { Err(faults) }
    }

    /// The operation that a method and a path in normal form ask for; or why there is none.
    pub fn find<'a, 'p>(&'a self, method: &str, path: &'p str) -> Result<Call<'a, 'p>, String> {
        let Some((item, values)) = self.paths.find(path) else {
            return Err("path: the description of this interface has none that this one is".to_owned());
        };
        let named = |wanted: &str| item.operations.iter().find(|(known, _)| known == wanted);
        // Who answers GET answers HEAD (RFC 9110 section 9.3.2).
        let found = named(method).or_else(|| named("GET").filter(|_| method == "HEAD"));
        let Some((_, operation)) = found else {
            let methods: Vec<&str> = item.operations.iter().map(|(method, _)| method.as_str()).collect();
            return Err(format!("method: `{}` has {} only", item.path, methods.join(", ")));
        };
        Ok(Call { operation, values })
    }

    /// Whether any path begins with these segments, in normal form; ends there too, where `whole`.
    pub fn has_path(&self, beginning: &str, whole: bool) -> bool {
        self.paths.has(beginning, whole)
    }
}

impl<'a> Call<'a, '_> {
    /// Checks the parameters. `query` is what was sent behind the `?`.
    pub fn check(&self, query: &[u8], header: Header<'_>) -> Result<(), String> {
        if self.operation.parameters.is_empty() {
            return Ok(());
        }
        let cookies = header("cookie").unwrap_or_default();
        let cookies = Pairs::of_cookies(cookies.as_bytes()).map_err(|why| format!("cookies: {why}"))?;
        let query = Pairs::of_form(query).map_err(|why| format!("query: {why}"))?;
        let names = self.operation.variables.iter().map(String::as_str);
        let path = names.zip(self.values.iter().copied()).collect();
        let given = Given { path, query: &query, cookies: &cookies, header };
        let verdicts = self.operation.parameters.iter().map(|parameter| parameter.check(&given));
        let faults: Vec<String> = verdicts.filter_map(Result::err).take(TOLD).collect();
        if faults.is_empty() { Ok(()) } else { Err(faults.join("; ")) }
    }

    /// Checks whether there may be a body, and of this type (the one `Content-Type`). What is left to check when all of
    /// it is there; none where that is nothing.
    pub fn body(&self, present: bool, kind: Option<&str>) -> Result<Option<BodyCheck<'a>>, String> {
        match &self.operation.body {
            None if present => Err("body: this operation takes none".to_owned()),
            Some(body) if !present && body.is_required() => Err("body: there is none".to_owned()),
            Some(body) if present => body.check(kind),
            _ => Ok(None),
        }
    }
}

/// What is compiled so far, and what it takes.
struct Compiler<'a> {
    schemas: Schemas<'a>,
    /// In place of all `servers`.
    base: Option<Vec<String>>,
    paths: Paths<Item>,
    operations: Vec<String>,
    faults: Vec<Fault>,
}

/// Methods as a description names them.
const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

impl<'a> Compiler<'a> {
    fn all(&mut self, root: &At<'a>) {
        let servers = self.servers(root);
        for (path, item) in root.member("paths").iter().flat_map(At::members) {
            match item.target() {
                Ok(item) => self.item(path, &item, servers.as_deref()),
                Err(fault) => self.faults.push(fault),
            }
            if self.faults.len() >= FAULTS_MAX {
                return;
            }
        }
        if self.operations.is_empty() && self.faults.is_empty() {
            self.faults.push(root.fault("it describes no operation"));
        }
    }

    fn item(&mut self, path: &str, item: &At<'a>, above: Option<&[String]>) {
        let servers = self.servers(item);
        let servers = servers.as_deref().or(above);
        let parameters = operation::parameters(item, &mut self.schemas, &mut self.faults);
        for method in METHODS {
            let Some(at) = item.member(method) else { continue };
            let operation = Operation::compile(&at, path, &parameters, &mut self.schemas, &mut self.faults);
            let own = self.servers(&at);
            let nowhere = [String::new()];
            for base in own.as_deref().or(servers).unwrap_or(&nowhere) {
                if let Err(fault) = self.add(method, base, path, &at, operation.clone()) {
                    self.faults.push(fault);
                    break;
                }
            }
            self.operations.push(format!("{} {path}", method.to_ascii_uppercase()));
        }
    }

    fn add(
        &mut self,
        method: &str,
        base: &str,
        path: &str,
        at: &At<'a>,
        operation: Operation,
    ) -> Result<(), Fault> {
        let method = method.to_ascii_uppercase();
        let (template, variables) = Template::read(base, at, path)?;
        self.paths.with(template, |item| {
            if item.operations.iter().any(|(known, _)| *known == method) {
                let other = documents::shown(&item.path);
                return Err(at.fault(format!("a request cannot be told from one of `{method} {other}`")));
            }
            path.clone_into(&mut item.path);
            item.operations.push((method, Operation { variables, ..operation }));
            Ok(())
        })
    }

    /// The paths in front of those of a place; none where it says nothing.
    fn servers(&mut self, at: &At<'a>) -> Option<Vec<String>> {
        if self.base.is_some() {
            return self.base.clone();
        }
        path::bases(at).unwrap_or_else(|fault| {
            self.faults.push(fault);
            None
        })
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod robust;
