//! The pages of `docs/` as a site: static HTML, with the order and the navigation that `docs/README.md` declares.
//!
//! What a page must be, and that every link leads somewhere, is a rule of `tidy` (`links`); this makes pages only out
//! of what keeps it. The site asks for nothing from outside and runs no script.

pub(crate) mod index;
pub(crate) mod links;
pub(crate) mod page;

mod layout;
mod render;
mod site;

#[cfg(test)]
mod tests;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::{say, tree};

/// What to do with the site.
#[derive(clap::Args)]
pub struct Args {
    /// Write nothing; look at pages and links alone
    #[arg(long)]
    check: bool,
    /// The folder that gets it; what an earlier run left there is removed
    #[arg(long, default_value_os_t = tree::target().join("site"))]
    out: PathBuf,
}

/// Makes the site; false when a page or a link is not as it should be.
pub fn run(args: &Args) -> Result<bool> {
    let tree = tree::Tree::read(&tree::root())?;
    let findings = links::check(&tree);
    findings.iter().for_each(say::line);
    if !findings.is_empty() || args.check {
        say::line(format_args!("{} findings", findings.len()));
        return Ok(findings.is_empty());
    }
    let files = site::files(&tree)?;
    clear(&args.out)?;
    let mut pages = 0;
    for file in &files {
        let path = args.out.join(&file.path);
        fs::create_dir_all(path.parent().context("a file of the site stands in a folder")?)?;
        fs::write(&path, &file.bytes).with_context(|| format!("writing {}", path.display()))?;
        pages += usize::from(file.path.ends_with(".html"));
    }
    fs::write(args.out.join(MARK), "")?;
    say::line(format_args!("{pages} pages: {}", args.out.join("index.html").display()));
    Ok(true)
}

/// Says of a folder that this task made it, so that no other is ever emptied.
const MARK: &str = ".tollgate-site";

fn clear(folder: &PathBuf) -> Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    let empty = fs::read_dir(folder)?.next().is_none();
    if !empty && !folder.join(MARK).exists() {
        anyhow::bail!("{} is not empty and was not made by this task: name another folder", folder.display());
    }
    fs::remove_dir_all(folder).with_context(|| format!("removing {}", folder.display()))
}
