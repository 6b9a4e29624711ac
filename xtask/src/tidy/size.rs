//! Files of at most 600 lines and functions of at most 70, as a ratchet.
//!
//! What was longer when the rule met it stands in `RATCHET` with its number. A number may only shrink, and a
//! file that got shorter than its number says so, so that it does.

use std::collections::BTreeMap;

use proc_macro2::Span;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use super::{Finding, finding};
use crate::tree::{File, Tree};

const MAX_FILE_LINES: usize = 600;
const MAX_FUNCTION_LINES: usize = 70;

/// Known exceptions: path, or path and function after `#`, and its lines.
const RATCHET: &[(&str, usize)] = &[];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    check_against(tree, RATCHET)
}

pub(super) fn check_against(tree: &Tree, ratchet: &[(&str, usize)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut long: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for file in tree.rust() {
        let lines = file.text.lines().count();
        if lines > MAX_FILE_LINES {
            long.insert(file.path.clone(), (lines, MAX_FILE_LINES));
        }
        match long_functions(file) {
            Ok(functions) => {
                long.extend(functions.into_iter().map(|(key, n)| (key, (n, MAX_FUNCTION_LINES))))
            }
            Err(error) => findings.push(finding(&file.path, 0, format!("does not parse: {error}"))),
        }
    }
    for (key, (lines, max)) in &long {
        let known = ratchet.iter().find(|(name, _)| name == key).map(|(_, lines)| *lines);
        let message = match known {
            None => format!("{lines} lines, more than {max}: split it by noun or by step"),
            Some(known) if *lines > known => format!("{lines} lines, and it had {known}: it may only shrink"),
            Some(known) if *lines < known => {
                format!("{lines} lines, not {known} any more: lower its number in RATCHET")
            }
            Some(_) => continue,
        };
        findings.push(finding(key, 0, message));
    }
    for (key, _) in ratchet.iter().filter(|(key, _)| !long.contains_key(*key)) {
        findings.push(finding(key, 0, "short enough now: remove it from RATCHET"));
    }
    findings
}

fn long_functions(file: &File) -> syn::Result<Vec<(String, usize)>> {
    let mut walk = Functions { path: &file.path, long: Vec::new() };
    walk.visit_file(&syn::parse_file(&file.text)?);
    Ok(walk.long)
}

struct Functions<'a> {
    path: &'a str,
    long: Vec<(String, usize)>,
}

impl Functions<'_> {
    fn measure(&mut self, name: &syn::Ident, signature: Span, block: &syn::Block) {
        let lines = block.span().end().line - signature.start().line + 1;
        if lines > MAX_FUNCTION_LINES {
            self.long.push((format!("{}#{name}", self.path), lines));
        }
    }
}

impl<'ast> Visit<'ast> for Functions<'_> {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.measure(&item.sig.ident, item.sig.span(), &item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.measure(&item.sig.ident, item.sig.span(), &item.block);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.measure(&item.sig.ident, item.sig.span(), block);
        }
        visit::visit_trait_item_fn(self, item);
    }
}
