//! `Assign`: an object of variables by name.

use crate::Template;
use crate::variables;

use super::Checker;
use super::fields::Fields;
use super::template::{Reads, compile};

/// What `$states` is: no variable can be called so.
const RESERVED: &str = "states";

pub(super) fn assign(c: &mut Checker, fields: &Fields<'_>, reads: Reads) -> Option<Template> {
    let assign = fields.object(c, "Assign")?;
    if !super::VARIABLES_RUN {
        c.error("Variables are not supported yet", &assign.location, &assign.range);
    }
    for member in assign.members {
        let name = if fields.is_jsonata() { &member.key } else { member.key.strip_suffix(".$").unwrap_or(&member.key) };
        let message = if name == RESERVED {
            format!("The variable name '{name}' is reserved")
        } else if !variables::is_name(name) {
            format!("The variable name '{name}' is not valid: it must be a Unicode identifier of at most 80 characters")
        } else {
            continue;
        };
        c.error(message, &assign.at(&member.key), &member.key_range);
    }
    Some(compile(c, fields.get("Assign")?, &assign.location, fields.place(reads)))
}
