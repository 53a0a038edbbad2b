//! The library of functions.

mod aws;
mod encode;
mod format_number;
mod higher;
mod integer;
mod list;
mod numeric;
mod object;
mod pattern;
mod text;
mod time;

use std::collections::HashMap;
use std::sync::LazyLock;

use super::evaluate::Dialect;
use super::function::{Builtin, Run};
use super::signature::Signature;
pub(super) use pattern::match_object;

/// The function of that name, in whichever dialect.
pub(super) fn find(name: &str) -> Option<&'static Builtin> {
    static BY_NAME: LazyLock<HashMap<&'static str, Builtin>> = LazyLock::new(|| {
        let function = |(name, arity, parameters, signature, run): &Row| {
            let signature = Signature::parse(signature).expect("a signature of the table");
            (*name, Builtin { name, arity: *arity, parameters: *parameters, signature, run: *run, only: only(name) })
        };
        FUNCTIONS.iter().map(function).collect()
    });
    BY_NAME.get(name)
}

/// Where a function exists.
fn only(name: &str) -> Option<Dialect> {
    match name {
        "eval" => Some(Dialect::Standard),
        "hash" | "parse" | "partition" | "range" | "uuid" => Some(Dialect::Aws),
        _ => None,
    }
}

/// Name, how many arguments higher-order functions give it, how many parameters it has, signature, code.
type Row = (&'static str, usize, usize, &'static str, Run);

#[rustfmt::skip]
const FUNCTIONS: &[Row] = &[
    ("abs", 1, 1, "<n-:n>", numeric::abs),
    ("append", 2, 2, "<xx:a>", list::append),
    ("assert", 2, 2, "<bs?:x>", object::assert),
    ("average", 1, 1, "<a<n>:n>", numeric::average),
    ("base64decode", 1, 1, "<s-:s>", encode::base64_decode),
    ("base64encode", 1, 1, "<s-:s>", encode::base64_encode),
    ("boolean", 1, 1, "<x-:b>", object::boolean),
    ("ceil", 1, 1, "<n-:n>", numeric::ceil),
    ("clone", 1, 1, "<(oa)-:o>", object::clone),
    ("contains", 2, 2, "<s-(sf):b>", pattern::contains),
    ("count", 1, 1, "<a:n>", numeric::count),
    ("decodeUrl", 1, 1, "<s-:s>", encode::decode_url),
    ("decodeUrlComponent", 1, 1, "<s-:s>", encode::decode_url_component),
    ("distinct", 1, 1, "<x:x>", list::distinct),
    ("each", 2, 2, "<o-f:a>", higher::each),
    ("encodeUrl", 1, 1, "<s-:s>", encode::encode_url),
    ("encodeUrlComponent", 1, 1, "<s-:s>", encode::encode_url_component),
    ("error", 1, 1, "<s?:x>", object::error),
    ("eval", 2, 2, "<sx?:x>", higher::eval),
    ("exists", 1, 1, "<x:b>", object::exists),
    ("filter", 2, 2, "<af>", higher::filter),
    ("floor", 1, 1, "<n-:n>", numeric::floor),
    ("formatBase", 2, 2, "<n-n?:s>", numeric::format_base),
    ("formatInteger", 2, 2, "<n-s:s>", integer::format_integer),
    ("formatNumber", 3, 3, "<n-so?:s>", format_number::format_number),
    ("fromMillis", 3, 3, "<n-s?s?:s>", time::from_millis),
    ("hash", 2, 2, "<ss?:s>", aws::hash),
    ("join", 2, 2, "<a<s>s?:s>", text::join),
    ("keys", 1, 1, "<x-:a<s>>", object::keys),
    ("length", 1, 1, "<s-:n>", text::length),
    ("lookup", 2, 2, "<x-s:x>", object::lookup),
    ("lowercase", 1, 1, "<s-:s>", text::lowercase),
    ("map", 2, 2, "<af>", higher::map),
    ("match", 3, 3, "<s-f<s:o>n?:a<o>>", pattern::match_all),
    ("max", 1, 1, "<a<n>:n>", numeric::max),
    ("merge", 1, 1, "<a<o>:o>", object::merge),
    ("millis", 0, 0, "<:n>", time::millis),
    ("min", 1, 1, "<a<n>:n>", numeric::min),
    ("not", 1, 1, "<x-:b>", object::not),
    ("now", 2, 2, "<s?s?:s>", time::now),
    ("number", 1, 1, "<(nsb)-:n>", numeric::number),
    ("pad", 3, 3, "<s-ns?:s>", text::pad),
    ("parse", 1, 1, "<s?:x>", aws::parse),
    ("parseInteger", 2, 2, "<s-s:n>", integer::parse_integer),
    ("partition", 2, 2, "<x?n?:a>", aws::partition),
    ("power", 2, 2, "<n-n:n>", numeric::power),
    ("random", 1, 1, "<n?:n>", aws::random),
    ("range", 3, 3, "<nnn?:a>", aws::range),
    ("reduce", 3, 3, "<afj?:j>", higher::reduce),
    ("replace", 4, 4, "<s-(sf)(sf)n?:s>", pattern::replace),
    ("reverse", 1, 1, "<a:a>", list::reverse),
    ("round", 2, 2, "<n-n?:n>", numeric::round),
    ("shuffle", 1, 1, "<a:a>", list::shuffle),
    ("sift", 2, 2, "<o-f?:o>", higher::sift),
    ("single", 2, 2, "<af?>", higher::single),
    ("sort", 2, 2, "<af?:a>", higher::sort),
    ("split", 3, 3, "<s-(sf)n?:a<s>>", pattern::split),
    ("spread", 1, 1, "<x-:a<o>>", object::spread),
    ("sqrt", 1, 1, "<n-:n>", numeric::sqrt),
    ("string", 1, 2, "<x-b?:s>", text::string),
    ("substring", 3, 3, "<s-nn?:s>", text::substring),
    ("substringAfter", 2, 2, "<s-s:s>", text::substring_after),
    ("substringBefore", 2, 2, "<s-s:s>", text::substring_before),
    ("sum", 1, 1, "<a<n>:n>", numeric::sum),
    ("toMillis", 2, 2, "<s-s?:n>", time::to_millis),
    ("trim", 1, 1, "<s-:s>", text::trim),
    ("type", 1, 1, "<x:s>", object::type_name),
    ("uppercase", 1, 1, "<s-:s>", text::uppercase),
    ("uuid", 0, 0, "<:s>", aws::uuid),
    ("zip", 0, 0, "<a+>", list::zip),
];
