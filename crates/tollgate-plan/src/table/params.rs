//! The parameters of a matched route, as ranges of the path.

use super::RouteTable;
use crate::path::percent_decode;
use crate::template::Var;

/// The parameters of a matched route. Reused from request to request: it keeps its capacity and holds no text,
/// so the path that was matched and the table must be given again, the same ones.
#[derive(Debug, Clone, Default)]
pub struct Params {
    /// Index of the entry whose names belong to the ranges.
    pub(super) entry: u32,
    /// Start and end of each value in the path, in the pattern's order.
    pub(super) ranges: Vec<(u32, u32)>,
}

impl Params {
    /// Forgets everything.
    pub fn clear(&mut self) {
        self.entry = 0;
        self.ranges.clear();
    }

    /// Names and values, in the pattern's order. Values stand as in the path: percent-encoded, normal form.
    pub fn iter<'a>(
        &'a self,
        table: &'a RouteTable,
        path: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        let names = table.names(self.entry).iter().map(|name| &**name);
        let values = self.ranges.iter().map(|&(start, end)| slice(path, start, end));
        names.zip(values)
    }

    /// The value of that name, as it stands in the path.
    pub fn get<'a>(&self, table: &RouteTable, path: &'a str, name: &str) -> Option<&'a str> {
        let at = table.names(self.entry).iter().position(|known| **known == *name)?;
        self.ranges.get(at).map(|&(start, end)| slice(path, start, end))
    }

    /// What [`crate::template::Values::value`] has to append for a [`Var::Param`] (the decoded value) or a
    /// [`Var::Tail`] (the value as it stands). `false` for everything else.
    pub fn append(&self, table: &RouteTable, path: &str, var: &Var, out: &mut Vec<u8>) -> bool {
        let (name, decoded) = match var {
            Var::Param(name) => (name, true),
            Var::Tail(name) => (name, false),
            _ => return false,
        };
        let Some(value) = self.get(table, path, name) else {
            return false;
        };
        match decoded {
            true => out.extend_from_slice(&percent_decode(value)),
            false => out.extend_from_slice(value.as_bytes()),
        }
        true
    }
}

fn slice(path: &str, start: u32, end: u32) -> &str {
    path.get(start as usize..end as usize).unwrap_or_default()
}
