//! One grammar for paths, reference paths and intrinsic functions.

use winnow::ascii::{dec_int, multispace0};
use winnow::combinator::{alt, cut_err, delimited, eof, fail, not, opt, peek, preceded, separated, terminated};
use winnow::error::{ContextError, ErrMode, StrContext, StrContextValue};
use winnow::prelude::*;
use winnow::stream::{LocatingSlice, Stateful};
use winnow::token::{any, one_of, take_while};

use serde_json::Value;

use crate::intrinsic::{Argument, Call, Function, TextPart};
use crate::limits::{FILTER_DEPTH_MAX, INTRINSIC_DEPTH_MAX};
use crate::path::{
    Aggregate, Filter, FilterOperator, FilterPath, Path, Pattern, Root, Selector, Step, SyntaxError, Term,
};
use crate::variables;

/// Parses a whole path.
pub(crate) fn parse_path(text: &str) -> Result<Path, SyntaxError> {
    run(terminated(path, eof), text)
}

/// Parses a whole call of an intrinsic function.
pub(crate) fn parse_call(text: &str) -> Result<Call, SyntaxError> {
    run(delimited(multispace0, call, (multispace0, eof)), text)
}

type Input<'i> = Stateful<LocatingSlice<&'i str>, Nesting>;

#[derive(Debug, Clone, Copy, Default)]
struct Nesting {
    filters: usize,
    calls: usize,
}

fn run<'i, O>(mut parser: impl Parser<Input<'i>, O, ErrMode<ContextError>>, text: &'i str) -> Result<O, SyntaxError> {
    let input = Input { input: LocatingSlice::new(text), state: Nesting::default() };
    parser.parse(input).map_err(|error| {
        // The innermost context says most; the others only repeat what was under way.
        let message = match error.inner().context().next() {
            Some(StrContext::Expected(what)) => format!("expected {what}"),
            _ => "unexpected text".to_owned(),
        };
        SyntaxError { message, offset: error.offset() }
    })
}

fn expected(what: &'static str) -> StrContext {
    StrContext::Expected(StrContextValue::Description(what))
}

// --- paths ---------------------------------------------------------------------------------------------------------

fn path(input: &mut Input<'_>) -> ModalResult<Path> {
    let ((root, (steps, aggregate)), text) = (root, steps).with_taken().parse_next(input)?;
    Ok(Path::new(text, root, steps, aggregate))
}

fn root(input: &mut Input<'_>) -> ModalResult<Root> {
    let root = alt(("$$".value(Root::Context), '$'.value(Root::Input)))
        .context(expected("a path that starts with '$'"))
        .parse_next(input)?;
    let name: &str = take_while(0.., |c: char| c.is_alphanumeric() || c == '_').parse_next(input)?;
    match root {
        root if name.is_empty() => Ok(root),
        Root::Input if variables::is_name(name) => Ok(Root::Variable(name.into())),
        Root::Input => cut_err(fail).context(expected("the name of a variable, '.' or '['")).parse_next(input),
        _ => cut_err(fail).context(expected("'.' or '['")).parse_next(input),
    }
}

fn steps(input: &mut Input<'_>) -> ModalResult<(Vec<Step>, Option<Aggregate>)> {
    let mut steps = Vec::new();
    loop {
        let Some(start) = opt(alt(("..", ".", peek("[")))).parse_next(input)? else { return Ok((steps, None)) };
        let selector = match start {
            "[" => cut_err(bracket).parse_next(input)?,
            ".." => cut_err(alt((bracket, wildcard, name.map(Selector::Name))))
                .context(expected("a name, '*' or '[' after '..'"))
                .parse_next(input)?,
            _ => {
                // Jayway takes `.[0]` for `[0]`.
                let selector =
                    cut_err(alt((preceded(peek('['), cut_err(bracket)), wildcard, name.map(Selector::Name))))
                        .context(expected("a name, '*' or '[' after '.'"))
                        .parse_next(input)?;
                if let Selector::Name(name) = &selector
                    && opt(("(", multispace0, ")")).parse_next(input)?.is_some()
                {
                    let Some(aggregate) = Aggregate::from_name(name) else {
                        return cut_err(fail).context(expected("a path function such as 'length()'")).parse_next(input);
                    };
                    return Ok((steps, Some(aggregate)));
                }
                selector
            }
        };
        steps.push(Step { descend: start == "..", selector });
    }
}

fn wildcard(input: &mut Input<'_>) -> ModalResult<Selector> {
    '*'.value(Selector::Wildcard).parse_next(input)
}

fn name(input: &mut Input<'_>) -> ModalResult<Box<str>> {
    let in_filter = input.state.filters > 0;
    let is_name = move |c: char| {
        !(c.is_whitespace()
            || matches!(c, '.' | '[' | ']' | '(' | ')' | ',' | '*' | '\'' | '"')
            || in_filter && matches!(c, '=' | '<' | '>' | '!' | '~' | '&' | '|'))
    };
    take_while(1.., is_name).map(|name: &str| name.into()).parse_next(input)
}

fn bracket(input: &mut Input<'_>) -> ModalResult<Selector> {
    let inside = alt((wildcard, filter_selector, names, slice_or_indexes))
        .context(expected("an index, a slice, a quoted name, '*' or '?(...)'"));
    delimited(('[', multispace0), inside, (multispace0, cut_err(']').context(expected("']'")))).parse_next(input)
}

fn names(input: &mut Input<'_>) -> ModalResult<Selector> {
    let list: Vec<String> = separated(1.., quoted, (multispace0, ',', multispace0)).parse_next(input)?;
    let mut list: Vec<Box<str>> = list.into_iter().map(String::into_boxed_str).collect();
    Ok(if list.len() == 1 { Selector::Name(list.remove(0)) } else { Selector::Names(list) })
}

fn slice_or_indexes(input: &mut Input<'_>) -> ModalResult<Selector> {
    let first: Option<i64> = opt(dec_int).parse_next(input)?;
    multispace0.parse_next(input)?;
    if opt(':').parse_next(input)?.is_some() {
        let end = delimited(multispace0, opt(dec_int), multispace0).parse_next(input)?;
        let step = opt(preceded((':', multispace0), opt(dec_int))).parse_next(input)?.flatten();
        if step == Some(0) {
            return cut_err(fail).context(expected("a step other than 0")).parse_next(input);
        }
        return Ok(Selector::Slice { start: first, end, step: step.unwrap_or(1) });
    }
    let Some(first) = first else { return fail.parse_next(input) };
    let mut list = vec![first];
    while opt((multispace0, ',', multispace0)).parse_next(input)?.is_some() {
        list.push(cut_err(dec_int).context(expected("an index")).parse_next(input)?);
    }
    Ok(if list.len() == 1 { Selector::Index(first) } else { Selector::Indexes(list) })
}

/// `'text'` or `"text"` with the usual escapes.
fn quoted(input: &mut Input<'_>) -> ModalResult<String> {
    let quote = one_of(['\'', '"']).parse_next(input)?;
    let mut text = String::new();
    loop {
        match cut_err(any).context(expected("a closing quote")).parse_next(input)? {
            c if c == quote => return Ok(text),
            '\\' => text.push(cut_err(escape).parse_next(input)?),
            c => text.push(c),
        }
    }
}

fn escape(input: &mut Input<'_>) -> ModalResult<char> {
    Ok(match any.parse_next(input)? {
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'u' => {
            let digits: &str = take_while(4..=4, |c: char| c.is_ascii_hexdigit()).parse_next(input)?;
            u32::from_str_radix(digits, 16).ok().and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER)
        }
        c => c,
    })
}

// --- filters -------------------------------------------------------------------------------------------------------

fn filter_selector(input: &mut Input<'_>) -> ModalResult<Selector> {
    ('?', multispace0).parse_next(input)?;
    let filter = cut_err(delimited(('(', multispace0), any_of, (multispace0, ')')))
        .context(expected("a filter such as '(@.price > 1)'"))
        .parse_next(input)?;
    Ok(Selector::Filter(filter))
}

/// Runs `parser` one level deeper in filters.
fn nested<'i, O>(
    input: &mut Input<'i>,
    mut parser: impl Parser<Input<'i>, O, ErrMode<ContextError>>,
) -> ModalResult<O> {
    if input.state.filters >= FILTER_DEPTH_MAX {
        return cut_err(fail).context(expected("a filter that nests less deeply")).parse_next(input);
    }
    input.state.filters += 1;
    let result = parser.parse_next(input);
    input.state.filters -= 1;
    result
}

fn any_of(input: &mut Input<'_>) -> ModalResult<Filter> {
    let mut list: Vec<Filter> = nested(input, separated(1.., all_of, delimited(multispace0, "||", multispace0)))?;
    Ok(if list.len() == 1 { list.remove(0) } else { Filter::Or(list) })
}

fn all_of(input: &mut Input<'_>) -> ModalResult<Filter> {
    let mut list: Vec<Filter> = separated(1.., single, delimited(multispace0, "&&", multispace0)).parse_next(input)?;
    Ok(if list.len() == 1 { list.remove(0) } else { Filter::And(list) })
}

fn single(input: &mut Input<'_>) -> ModalResult<Filter> {
    if opt(('!', not('='), multispace0)).parse_next(input)?.is_some() {
        return Ok(Filter::Not(Box::new(nested(input, single)?)));
    }
    if opt(('(', multispace0)).parse_next(input)?.is_some() {
        return terminated(any_of, (multispace0, cut_err(')').context(expected("')'")))).parse_next(input);
    }
    let left = term.parse_next(input)?;
    let Some(operator) = opt(preceded(multispace0, operator)).parse_next(input)? else {
        return match left {
            Term::Path(path) => Ok(Filter::Exists(path)),
            _ => cut_err(fail).context(expected("a comparison")).parse_next(input),
        };
    };
    let right = preceded(multispace0, cut_err(term).context(expected("a value to compare with"))).parse_next(input)?;
    Ok(Filter::Compare { left, operator, right })
}

fn operator(input: &mut Input<'_>) -> ModalResult<FilterOperator> {
    use FilterOperator as Op;
    let symbol = alt((
        "==".value(Op::Equal),
        "!=".value(Op::NotEqual),
        "<=".value(Op::LessOrEqual),
        "<".value(Op::Less),
        ">=".value(Op::GreaterOrEqual),
        ">".value(Op::Greater),
        "=~".value(Op::Matches),
    ));
    let word =
        terminated(take_while(1.., |c: char| c.is_ascii_alphabetic()), not(one_of(|c: char| c.is_alphanumeric())))
            .verify_map(|word: &str| match word.to_ascii_lowercase().as_str() {
                "in" => Some(Op::In),
                "nin" => Some(Op::NotIn),
                "subsetof" => Some(Op::SubsetOf),
                "anyof" => Some(Op::AnyOf),
                "noneof" => Some(Op::NoneOf),
                "contains" => Some(Op::Contains),
                "size" => Some(Op::Size),
                "empty" => Some(Op::Empty),
                _ => None,
            });
    alt((symbol, word)).parse_next(input)
}

fn term(input: &mut Input<'_>) -> ModalResult<Term> {
    alt((
        filter_path.map(Term::Path),
        pattern.map(Term::Pattern),
        literal_list.map(Term::Literal),
        literal.map(Term::Literal),
    ))
    .context(expected("'@', '$', a quoted string, a number, true, false, null, a list or /regex/"))
    .parse_next(input)
}

fn filter_path(input: &mut Input<'_>) -> ModalResult<FilterPath> {
    let current = alt(('@'.value(true), '$'.value(false))).parse_next(input)?;
    let (steps, aggregate) = steps.parse_next(input)?;
    Ok(FilterPath { current, steps, aggregate })
}

fn literal_list(input: &mut Input<'_>) -> ModalResult<Value> {
    let items: Vec<Value> = delimited(
        ('[', multispace0),
        separated(0.., literal, (multispace0, ',', multispace0)),
        (multispace0, cut_err(']').context(expected("']'"))),
    )
    .parse_next(input)?;
    Ok(Value::Array(items))
}

fn literal(input: &mut Input<'_>) -> ModalResult<Value> {
    alt((quoted.map(Value::String), keyword, number)).parse_next(input)
}

fn keyword(input: &mut Input<'_>) -> ModalResult<Value> {
    let word = alt(("true".value(Value::Bool(true)), "false".value(Value::Bool(false)), "null".value(Value::Null)));
    terminated(word, not(one_of(|c: char| c.is_alphanumeric() || c == '_'))).parse_next(input)
}

fn number(input: &mut Input<'_>) -> ModalResult<Value> {
    take_while(1.., |c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | 'e' | 'E'))
        .verify_map(|text: &str| serde_json::from_str::<serde_json::Number>(text).ok())
        .map(Value::Number)
        .parse_next(input)
}

fn pattern(input: &mut Input<'_>) -> ModalResult<Pattern> {
    '/'.parse_next(input)?;
    let mut text = String::new();
    loop {
        match cut_err(any).context(expected("a closing '/'")).parse_next(input)? {
            '/' => break,
            '\\' => {
                let escaped = cut_err(any).parse_next(input)?;
                if escaped != '/' {
                    text.push('\\');
                }
                text.push(escaped);
            }
            c => text.push(c),
        }
    }
    let flags: &str = take_while(0.., |c: char| c.is_ascii_alphabetic()).parse_next(input)?;
    match Pattern::new(&text, flags) {
        Some(pattern) => Ok(pattern),
        None => cut_err(fail).context(expected("a valid regular expression")).parse_next(input),
    }
}

// --- intrinsic functions -------------------------------------------------------------------------------------------

fn call(input: &mut Input<'_>) -> ModalResult<Call> {
    let name: &str = preceded("States.", take_while(1.., |c: char| c.is_ascii_alphanumeric()))
        .context(expected("a function such as 'States.Format('"))
        .parse_next(input)?;
    let Some(function) = Function::from_name(name) else {
        return cut_err(fail).context(expected("the name of an intrinsic function")).parse_next(input);
    };
    if input.state.calls >= INTRINSIC_DEPTH_MAX {
        return cut_err(fail).context(expected("at most 10 nested intrinsic functions")).parse_next(input);
    }
    input.state.calls += 1;
    let arguments = cut_err(delimited(
        (multispace0, '('.context(expected("'('")), multispace0),
        separated(0.., argument, (multispace0, ',', multispace0)),
        (multispace0, ')'.context(expected("',' or ')'"))),
    ))
    .parse_next(input);
    input.state.calls -= 1;
    let arguments: Vec<Argument> = arguments?;
    if !function.arity().contains(&arguments.len()) {
        return cut_err(fail).context(expected("another number of arguments")).parse_next(input);
    }
    Ok(Call { function, arguments })
}

fn argument(input: &mut Input<'_>) -> ModalResult<Argument> {
    alt((
        template_text.map(Argument::Text),
        path.map(Argument::Path),
        keyword.map(Argument::Literal),
        number.map(Argument::Literal),
        call.map(Argument::Call),
    ))
    .context(expected("a string in single quotes, a number, true, false, null, a path or a function"))
    .parse_next(input)
}

/// `'text {} text'`: `{}` is kept apart from `\{\}`. A backslash escapes `'`, `\`, `{`, `}` and nothing else.
fn template_text(input: &mut Input<'_>) -> ModalResult<Vec<TextPart>> {
    '\''.parse_next(input)?;
    let mut parts = Vec::new();
    let mut text = String::new();
    loop {
        match cut_err(any).context(expected("a closing \"'\"")).parse_next(input)? {
            '\'' => break,
            '\\' => text.push(
                cut_err(one_of(['\'', '\\', '{', '}']))
                    .context(expected("one of ' \\ { } after \\"))
                    .parse_next(input)?,
            ),
            '{' if opt('}').parse_next(input)?.is_some() => {
                if !text.is_empty() {
                    parts.push(TextPart::Text(std::mem::take(&mut text)));
                }
                parts.push(TextPart::Placeholder);
            }
            c => text.push(c),
        }
    }
    if !text.is_empty() {
        parts.push(TextPart::Text(text));
    }
    Ok(parts)
}

/// The same for a template that came with the input, where nothing is an error.
pub(crate) fn template_parts(template: &str) -> Vec<TextPart> {
    let mut parts = Vec::new();
    let mut text = String::new();
    let mut chars = template.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek()) {
            ('\\', Some('\'' | '\\' | '{' | '}')) => text.extend(chars.next()),
            ('{', Some('}')) => {
                chars.next();
                if !text.is_empty() {
                    parts.push(TextPart::Text(std::mem::take(&mut text)));
                }
                parts.push(TextPart::Placeholder);
            }
            (c, _) => text.push(c),
        }
    }
    if !text.is_empty() {
        parts.push(TextPart::Text(text));
    }
    parts
}
