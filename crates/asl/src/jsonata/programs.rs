//! Expressions that are compiled while an expression runs, for as long as it runs.

use std::cell::OnceCell;

use super::ast::Program;

/// A list that only grows, so that what is in it can be borrowed for as long as the list is.
#[derive(Default)]
pub(super) struct Programs {
    first: OnceCell<Box<Link>>,
}

struct Link {
    program: Program,
    rest: Programs,
}

/// How many expressions one evaluation may compile.
const PROGRAMS_MAX: usize = 1000;

impl Programs {
    /// Keeps `program`; `None` when there are too many.
    pub fn keep(&self, program: Program) -> Option<&Program> {
        let mut list = self;
        for _ in 0..PROGRAMS_MAX {
            match list.first.get() {
                Some(link) => list = &link.rest,
                None => {
                    let link = list.first.get_or_init(|| Box::new(Link { program, rest: Programs::default() }));
                    return Some(&link.program);
                }
            }
        }
        None
    }
}
