//! SQL as tokens: enough of PostgreSQL's lexical rules to find named parameters, casts and the ends of statements.

use crate::fault::{bad_request, database_state};
use service::Fault;

/// What a statement is made of. Spans are byte offsets in the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A keyword or a plain name.
    Word,
    /// `"name"`.
    QuotedName,
    /// `'text'`, `E'text'`, `$tag$text$tag$`.
    Text,
    Number,
    /// `:name`.
    Parameter,
    /// `::`.
    Cast,
    /// One character of anything else.
    Symbol,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    pub kind: Kind,
    pub text: &'a str,
    pub start: usize,
}

impl Token<'_> {
    pub fn end(&self) -> usize {
        self.start + self.text.len()
    }

    pub fn is_word(&self, word: &str) -> bool {
        self.kind == Kind::Word && self.text.eq_ignore_ascii_case(word)
    }

    pub fn is_symbol(&self, symbol: &str) -> bool {
        self.kind == Kind::Symbol && self.text == symbol
    }
}

/// Cuts one statement into tokens, without comments and a semicolon at its end; a second statement is refused.
pub(crate) fn tokens(source: &str) -> Result<Vec<Token<'_>>, Fault> {
    let mut tokens: Vec<Token<'_>> = Vec::new();
    let mut at = 0;
    let mut ended = false;
    while at < source.len() {
        let rest = &source[at..];
        let skipped = blank(rest)?;
        if skipped > 0 {
            at += skipped;
            continue;
        }
        if rest.starts_with(';') {
            ended = true;
            at += 1;
            continue;
        }
        if ended {
            return Err(bad_request("Multistatements aren't supported."));
        }
        let (kind, length) = token(rest)?;
        tokens.push(Token { kind, text: &rest[..length], start: at });
        at += length;
    }
    if tokens.is_empty() {
        return Err(bad_request("sql is empty"));
    }
    Ok(tokens)
}

fn unterminated(what: &str) -> Fault {
    database_state(format_args!("unterminated {what}"), "42601")
}

/// How many bytes of space or comment the text begins with.
fn blank(rest: &str) -> Result<usize, Fault> {
    let spaces = rest.len() - rest.trim_start().len();
    if spaces > 0 {
        return Ok(spaces);
    }
    if rest.starts_with("--") {
        return Ok(rest.find('\n').unwrap_or(rest.len()));
    }
    if !rest.starts_with("/*") {
        return Ok(0);
    }
    let (mut depth, mut at) = (0usize, 0);
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return Ok(at);
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    Err(unterminated("/* comment"))
}

fn is_word_start(c: char) -> bool {
    c.is_alphabetic() || c == '_'
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

fn while_matching(text: &str, matches: impl Fn(char) -> bool) -> usize {
    text.find(|c| !matches(c)).unwrap_or(text.len())
}

fn token(rest: &str) -> Result<(Kind, usize), Fault> {
    let mut chars = rest.chars();
    let first = chars.next().unwrap_or(' ');
    let second = chars.next().unwrap_or(' ');
    match first {
        '\'' => Ok((Kind::Text, quoted(rest, '\'', false)?)),
        'e' | 'E' if second == '\'' => Ok((Kind::Text, 1 + quoted(&rest[1..], '\'', true)?)),
        '"' => Ok((Kind::QuotedName, quoted(rest, '"', false)?)),
        '$' => match dollar_quoted(rest)? {
            Some(length) => Ok((Kind::Text, length)),
            None => Ok((Kind::Symbol, 1)),
        },
        ':' if second == ':' => Ok((Kind::Cast, 2)),
        ':' if is_word_start(second) => Ok((Kind::Parameter, 1 + while_matching(&rest[1..], is_word))),
        c if is_word_start(c) => Ok((Kind::Word, while_matching(rest, is_word))),
        c if c.is_ascii_digit() || (c == '.' && second.is_ascii_digit()) => Ok((Kind::Number, number(rest))),
        c => Ok((Kind::Symbol, c.len_utf8())),
    }
}

/// The length of a quoted text; a doubled quote stands for itself, as does one behind a backslash if that escapes.
fn quoted(rest: &str, quote: char, escapes: bool) -> Result<usize, Fault> {
    let mut chars = rest.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if escapes && c == '\\' {
            chars.next();
        } else if c == quote {
            if chars.peek().is_some_and(|(_, next)| *next == quote) {
                chars.next();
            } else {
                return Ok(at + 1);
            }
        }
    }
    Err(unterminated(if quote == '"' { "quoted identifier" } else { "quoted string" }))
}

fn dollar_quoted(rest: &str) -> Result<Option<usize>, Fault> {
    let tag_length = while_matching(&rest[1..], |c| is_word(c) && c != '$');
    let tag = &rest[..(tag_length + 2).min(rest.len())];
    if !tag.ends_with('$') || tag.len() < 2 || tag[1..].starts_with(|c: char| c.is_ascii_digit()) {
        return Ok(None);
    }
    match rest[tag.len()..].find(tag) {
        Some(at) => Ok(Some(at + 2 * tag.len())),
        None => Err(unterminated("dollar-quoted string")),
    }
}

fn number(rest: &str) -> usize {
    let digits = while_matching(rest, |c| c.is_ascii_digit() || c == '.');
    let tail = &rest.as_bytes()[digits..];
    let exponent = match tail {
        [b'e' | b'E', b'+' | b'-', d, ..] if d.is_ascii_digit() => 2,
        [b'e' | b'E', d, ..] if d.is_ascii_digit() => 1,
        _ => return digits,
    };
    digits + exponent + while_matching(&rest[digits + exponent..], |c| c.is_ascii_digit())
}

/// What a statement does, by its first word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    /// Reads only.
    Read,
    /// Changes rows.
    Write,
    /// Changes what tables there are.
    Define,
    /// BEGIN, COMMIT, ROLLBACK.
    Transaction,
    /// Reaches beyond the database.
    Forbidden,
}

/// Tells what a statement does.
pub(crate) fn verb(tokens: &[Token<'_>]) -> Verb {
    let first = tokens.first().map(|t| t.text.to_ascii_uppercase()).unwrap_or_default();
    let writes = |t: &Token<'_>| ["INSERT", "UPDATE", "DELETE", "MERGE"].iter().any(|w| t.is_word(w));
    match first.as_str() {
        "SELECT" | "VALUES" | "TABLE" | "EXPLAIN" | "SHOW" | "(" if !tokens.iter().any(|t| t.is_word("UPDATE")) => {
            Verb::Read
        }
        "WITH" if !tokens.iter().any(writes) => Verb::Read,
        "BEGIN" | "START" | "COMMIT" | "END" | "ROLLBACK" | "ABORT" | "SAVEPOINT" | "RELEASE" => Verb::Transaction,
        "ATTACH" | "DETACH" | "PRAGMA" | "VACUUM" => Verb::Forbidden,
        "CREATE" | "ALTER" | "DROP" | "REINDEX" | "ANALYZE" | "GRANT" | "REVOKE" | "COMMENT" | "TRUNCATE" => {
            Verb::Define
        }
        _ => Verb::Write,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(source: &str) -> Vec<(Kind, &str)> {
        tokens(source).unwrap().iter().map(|t| (t.kind, t.text)).collect()
    }

    #[test]
    fn parameters_are_found_only_where_they_are() {
        let source = "select :a::int, ':b', \":c\", $$ :d $$, $t$ :e $t$, E'\\':f', x::text -- :g\n /* :h /* :i */ */ from t[1:2]";
        let found: Vec<_> = kinds(source).into_iter().filter(|(k, _)| *k == Kind::Parameter).collect();
        assert_eq!(found, [(Kind::Parameter, ":a")]);
    }

    #[test]
    fn tokens_of_all_kinds() {
        assert_eq!(
            kinds("a1 \"b\"\"c\" 'd''e' 1.5e-3 .5 :p_1 ::x <= é;"),
            [
                (Kind::Word, "a1"),
                (Kind::QuotedName, "\"b\"\"c\""),
                (Kind::Text, "'d''e'"),
                (Kind::Number, "1.5e-3"),
                (Kind::Number, ".5"),
                (Kind::Parameter, ":p_1"),
                (Kind::Cast, "::"),
                (Kind::Word, "x"),
                (Kind::Symbol, "<"),
                (Kind::Symbol, "="),
                (Kind::Word, "é"),
            ]
        );
    }

    #[test]
    fn what_is_no_single_statement() {
        for (source, message) in [
            ("", "BadRequestException: sql is empty"),
            (" ; -- x", "BadRequestException: sql is empty"),
            ("select 1; select 2", "BadRequestException: Multistatements aren't supported."),
            ("select 'x", "DatabaseErrorException: ERROR: unterminated quoted string; SQLState: 42601"),
            ("select \"x", "DatabaseErrorException: ERROR: unterminated quoted identifier; SQLState: 42601"),
            ("select /* x", "DatabaseErrorException: ERROR: unterminated /* comment; SQLState: 42601"),
            ("select $a$ x", "DatabaseErrorException: ERROR: unterminated dollar-quoted string; SQLState: 42601"),
        ] {
            assert_eq!(tokens(source).unwrap_err().to_string(), message, "{source}");
        }
        assert_eq!(tokens("select 1 ; ;").unwrap().len(), 2);
    }

    #[test]
    fn verbs() {
        for (source, wanted) in [
            ("select 1", Verb::Read),
            ("SELECT * FROM t FOR UPDATE", Verb::Write),
            ("with x as (select 1) select * from x", Verb::Read),
            ("with x as (select 1) insert into t select * from x", Verb::Write),
            ("insert into t values (1)", Verb::Write),
            ("create table t (a int)", Verb::Define),
            ("commit", Verb::Transaction),
            ("pragma user_version", Verb::Forbidden),
        ] {
            assert_eq!(verb(&tokens(source).unwrap()), wanted, "{source}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(source in "[a-z:'\"$/*\\-; \\\\é(.0-9]{0,40}") {
            let _ = tokens(&source).map(|t| verb(&t));
        }
    }
}
