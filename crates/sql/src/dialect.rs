//! PostgreSQL's dialect for the embedded engine, as far as that is simple.
//!
//! Casts, serial columns, `NOW()`, `ILIKE`, `public.`, `TRUNCATE`, `FOR UPDATE`, defaults and types of columns are
//! rewritten; functions that the engine lacks are registered with it. Anything else goes to the engine as it is, and
//! what that does not know is its error.

use crate::lexer::{Kind, Token};

/// What the names of types become, so that the engine keeps texts as texts and the type is still known.
const TEXT_TYPES: [&str; 9] =
    ["timestamptz", "timestamp", "timetz", "time", "date", "uuid", "jsonb", "json", "interval"];

/// A statement for the embedded engine; parameters are `?1`, `?2`, … in the order of `parameters`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Embedded {
    pub sql: String,
    pub parameters: Vec<String>,
}

/// The names of the parameters, each once, in the order of their first appearance.
pub(crate) fn parameter_names(tokens: &[Token<'_>]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for token in tokens.iter().filter(|t| t.kind == Kind::Parameter) {
        let name = &token.text[1..];
        if !names.iter().any(|n| n == name) {
            names.push(name.to_owned());
        }
    }
    names
}

/// The statement with `$1`, `$2`, … for its named parameters, as PostgreSQL wants it.
pub(crate) fn to_postgres(source: &str, tokens: &[Token<'_>]) -> (String, Vec<String>) {
    let names = parameter_names(tokens);
    let mut sql = String::with_capacity(source.len());
    let mut at = 0;
    for token in tokens.iter().filter(|t| t.kind == Kind::Parameter) {
        sql.push_str(&source[at..token.start]);
        let number = names.iter().position(|n| *n == token.text[1..]).map_or(0, |n| n + 1);
        sql.push_str(&format!("${number}"));
        at = token.end();
    }
    sql.push_str(source[at..].trim_end().trim_end_matches(';'));
    (sql, names)
}

/// The statement for the embedded engine.
pub(crate) fn to_embedded(tokens: &[Token<'_>]) -> Embedded {
    let mut writer = Writer { tokens, at: 0, out: Vec::with_capacity(tokens.len()), names: parameter_names(tokens) };
    writer.statement();
    Embedded { sql: writer.out.join(" "), parameters: writer.names }
}

/// Goes through the tokens and writes pieces; a cast folds the pieces of its operand into one.
struct Writer<'t, 'a> {
    tokens: &'t [Token<'a>],
    at: usize,
    out: Vec<String>,
    names: Vec<String>,
}

impl<'a> Writer<'_, 'a> {
    fn peek(&self, ahead: usize) -> Option<&Token<'a>> {
        self.tokens.get(self.at + ahead)
    }

    fn is_word(&self, ahead: usize, word: &str) -> bool {
        self.peek(ahead).is_some_and(|t| t.is_word(word))
    }

    fn is_symbol(&self, ahead: usize, symbol: &str) -> bool {
        self.peek(ahead).is_some_and(|t| t.is_symbol(symbol))
    }

    fn push(&mut self, piece: impl Into<String>) {
        self.out.push(piece.into());
    }

    fn statement(&mut self) {
        if self.is_word(0, "truncate") {
            self.at += if self.is_word(1, "table") { 2 } else { 1 };
            self.push("DELETE FROM");
        }
        let defines = (self.is_word(0, "create") || self.is_word(0, "alter"))
            && self.tokens.iter().take(4).any(|t| t.is_word("table"));
        if defines {
            self.definition();
        } else {
            while self.at < self.tokens.len() {
                self.piece();
            }
        }
    }

    /// One token, or a few that belong together.
    fn piece(&mut self) {
        let Some(token) = self.peek(0).copied() else {
            return;
        };
        match token.kind {
            Kind::Cast => self.cast(),
            Kind::Parameter => {
                let number = self.names.iter().position(|n| *n == token.text[1..]).map_or(0, |n| n + 1);
                self.push(format!("?{number}"));
                self.at += 1;
            }
            Kind::Text => {
                self.push(plain_text(token.text));
                self.at += 1;
            }
            Kind::Word => self.word(token.text),
            Kind::Symbol => self.symbol(token),
            Kind::QuotedName | Kind::Number => {
                self.push(token.text);
                self.at += 1;
            }
        }
    }

    fn word(&mut self, text: &str) {
        let lower = text.to_ascii_lowercase();
        let mut length = 1;
        match lower.as_str() {
            "public" if self.is_symbol(1, ".") => length = 2,
            "ilike" => self.push("MATCH"),
            "current_timestamp" | "localtimestamp" => self.push("now()"),
            "current_date" => self.push("date(now())"),
            "current_time" | "localtime" => self.push("time(now())"),
            "for" if self.is_word(1, "update") || self.is_word(1, "share") => {
                // One writer at a time: whoever reads to update holds the whole database.
                length = 2;
                if self.is_word(length, "skip") && self.is_word(length + 1, "locked") {
                    length += 2;
                } else if self.is_word(length, "nowait") {
                    length += 1;
                }
            }
            _ => self.push(text),
        }
        self.at += length;
    }

    /// Operators of several characters must not be torn apart by spaces.
    fn symbol(&mut self, token: Token<'a>) {
        let glued = self.at > 0 && {
            let before = self.tokens[self.at - 1];
            before.kind == Kind::Symbol
                && before.end() == token.start
                && !"(),.;".contains(before.text)
                && !"(),.;".contains(token.text)
        };
        match self.out.last_mut().filter(|_| glued) {
            Some(last) => last.push_str(token.text),
            None => self.push(token.text),
        }
        self.at += 1;
    }

    /// `operand::type`: the operand is written already.
    fn cast(&mut self) {
        self.at += 1;
        let wanted = self.type_name();
        let from = self.operand_start();
        let operand = self.out.split_off(from).join(" ");
        self.push(cast_to(&operand, &wanted));
    }

    /// Takes a type's name and what belongs to it; the name comes back in lower case, words joined by spaces.
    fn type_name(&mut self) -> String {
        let mut words: Vec<String> = Vec::new();
        self.take_type_words(&mut words, |words, token| match words {
            [] => matches!(token.kind, Kind::Word | Kind::QuotedName),
            [one] if one == "double" => token.is_word("precision"),
            [one] if one == "character" || one == "bit" => token.is_word("varying"),
            _ => false,
        });
        if self.is_symbol(0, "(") {
            while let Some(token) = self.peek(0) {
                let closes = token.is_symbol(")");
                self.at += 1;
                if closes {
                    break;
                }
            }
        }
        if words.first().is_some_and(|w| w == "timestamp" || w == "time") {
            self.take_type_words(&mut words, |words, token| match words {
                [_] => token.is_word("with") || token.is_word("without"),
                [_, _] => token.is_word("time"),
                [_, _, _] => token.is_word("zone"),
                _ => false,
            });
        }
        while self.is_symbol(0, "[") && self.is_symbol(1, "]") {
            words.push("[]".to_owned());
            self.at += 2;
        }
        words.join(" ")
    }

    fn take_type_words(&mut self, words: &mut Vec<String>, follows: impl Fn(&[String], &Token<'a>) -> bool) {
        while let Some(token) = self.peek(0).copied().filter(|t| follows(words, t)) {
            words.push(token.text.to_ascii_lowercase());
            self.at += 1;
        }
    }

    /// Where in what is written the operand of a cast begins: a name with its dots, a value, or what is in
    /// parentheses with the function before them.
    fn operand_start(&self) -> usize {
        let mut from = self.out.len().saturating_sub(1);
        if self.out.last().is_some_and(|p| p == ")") {
            let mut depth = 0usize;
            for (at, piece) in self.out.iter().enumerate().rev() {
                match piece.as_str() {
                    ")" => depth += 1,
                    "(" => depth = depth.saturating_sub(1),
                    _ => {}
                }
                from = at;
                if depth == 0 {
                    break;
                }
            }
            let is_function = |p: &String| p.chars().all(|c| c.is_alphanumeric() || c == '_') && !is_operator_word(p);
            if from > 0 && self.out.get(from - 1).is_some_and(is_function) {
                from -= 1;
            }
        }
        while from >= 2 && self.out[from - 1] == "." {
            from -= 2;
        }
        from
    }

    // CREATE TABLE and ALTER TABLE.

    fn definition(&mut self) {
        let mut depth = 0usize;
        let mut column = false;
        while let Some(token) = self.peek(0).copied() {
            let alters = token.is_word("column") || (token.is_word("add") && !self.is_word(1, "column"));
            if column || (alters && depth == 0) {
                if alters && depth == 0 && !column {
                    self.piece();
                    self.skip_words(&["if", "not", "exists"]);
                }
                column = false;
                self.column();
                continue;
            }
            if token.is_symbol("(") {
                depth += 1;
                column = depth == 1;
            } else if token.is_symbol(")") {
                depth = depth.saturating_sub(1);
            } else if token.is_symbol(",") {
                column = depth == 1;
            } else if token.is_word("default") {
                self.default_value();
                continue;
            }
            self.piece();
        }
    }

    fn skip_words(&mut self, words: &[&str]) {
        while words.iter().any(|w| self.is_word(0, w)) {
            self.piece();
        }
    }

    /// A column's name and type; constraints of tables begin with a word of their own and have no type.
    fn column(&mut self) {
        let constraints = ["primary", "unique", "foreign", "check", "constraint", "exclude", "like"];
        if constraints.iter().any(|c| self.is_word(0, c)) {
            return;
        }
        self.piece();
        if !self.peek(0).is_some_and(|t| t.kind == Kind::Word) {
            return;
        }
        let start = self.at;
        let name = self.type_name();
        let arguments: String =
            self.tokens[start..self.at].iter().skip_while(|t| !t.is_symbol("(")).map(|t| t.text).collect();
        self.push(column_type(&name, &arguments));
        if is_serial(&name) {
            // Only as the primary key does a column of the engine count by itself.
            if self.is_word(0, "not") && self.is_word(1, "null") {
                self.at += 2;
            }
            if self.is_word(0, "primary") && self.is_word(1, "key") {
                self.at += 2;
                self.push("PRIMARY KEY AUTOINCREMENT");
            }
        }
    }

    /// `DEFAULT expression`: the engine wants parentheses around anything but a literal.
    fn default_value(&mut self) {
        self.push("DEFAULT");
        self.at += 1;
        let ends = ["not", "null", "primary", "unique", "check", "references", "constraint", "collate", "generated"];
        let from = self.out.len();
        let mut depth = 0usize;
        while let Some(token) = self.peek(0).copied() {
            let first = self.out.len() == from;
            if depth == 0 && (token.is_symbol(",") || token.is_symbol(")")) {
                break;
            }
            if depth == 0 && !first && ends.iter().any(|e| token.is_word(e)) {
                break;
            }
            if token.is_symbol("(") {
                depth += 1;
            } else if token.is_symbol(")") {
                depth = depth.saturating_sub(1);
            }
            self.piece();
        }
        // A cast without an operand has taken what was before it; that is the engine's syntax error.
        let value = self.out.split_off(from.min(self.out.len())).join(" ");
        self.push(format!("({value})"));
    }
}

fn is_operator_word(word: &str) -> bool {
    [
        "and", "or", "not", "in", "like", "match", "between", "select", "where", "values", "when", "then", "else",
        "as", "by",
    ]
    .iter()
    .any(|w| word.eq_ignore_ascii_case(w))
}

/// `E'…'` and dollar quotes as plain texts.
fn plain_text(text: &str) -> String {
    if let Some(escaped) = text.strip_prefix(['e', 'E']) {
        let inner = &escaped[1..escaped.len() - 1];
        let mut plain = String::from("'");
        let mut chars = inner.chars();
        while let Some(c) = chars.next() {
            if c != '\\' {
                plain.push(c);
                continue;
            }
            match chars.next() {
                Some('n') => plain.push('\n'),
                Some('t') => plain.push('\t'),
                Some('r') => plain.push('\r'),
                Some('b') => plain.push('\u{8}'),
                Some('f') => plain.push('\u{c}'),
                Some('\'') => plain.push_str("''"),
                Some(other) => plain.push(other),
                None => {}
            }
        }
        plain.push('\'');
        return plain;
    }
    if let Some(rest) = text.strip_prefix('$') {
        let tag = rest.find('$').map_or(2, |at| at + 2);
        return format!("'{}'", text[tag..text.len() - tag].replace('\'', "''"));
    }
    text.to_owned()
}

fn is_serial(name: &str) -> bool {
    matches!(name, "serial" | "bigserial" | "smallserial" | "serial4" | "serial8" | "serial2")
}

/// What a column's type is called in the engine: its affinity must fit what PostgreSQL keeps in it.
fn column_type(name: &str, arguments: &str) -> String {
    if is_serial(name) {
        return "INTEGER".to_owned();
    }
    let base = name.split(' ').next().unwrap_or_default();
    let base = if name.contains("with time zone") { format!("{base}tz") } else { base.to_owned() };
    if name.ends_with("[]") {
        return "ARRAY_TEXT".to_owned();
    }
    if TEXT_TYPES.contains(&base.as_str()) {
        return format!("{}_TEXT", base.to_ascii_uppercase());
    }
    match name {
        "bytea" => "BYTEA_BLOB".to_owned(),
        "bool" | "boolean" => "BOOLEAN".to_owned(),
        "character" | "character varying" => format!("VARCHAR{arguments}"),
        "bpchar" | "name" | "citext" | "inet" => "TEXT".to_owned(),
        other => format!("{}{arguments}", other.to_ascii_uppercase()),
    }
}

/// A cast in the engine's words.
fn cast_to(operand: &str, name: &str) -> String {
    let base = name.split(' ').next().unwrap_or_default();
    match base {
        "int" | "integer" | "int4" | "int8" | "int2" | "bigint" | "smallint" | "oid" => {
            format!("stepwell_int({operand})")
        }
        "float" | "float4" | "float8" | "real" | "double" => format!("CAST({operand} AS REAL)"),
        "numeric" | "decimal" => format!("CAST({operand} AS NUMERIC)"),
        "bool" | "boolean" => format!("stepwell_bool({operand})"),
        "date" => format!("date({operand})"),
        "bytea" => format!("CAST({operand} AS BLOB)"),
        "text" | "varchar" | "char" | "character" | "bpchar" | "name" | "uuid" | "json" | "jsonb" | "timestamp"
        | "timestamptz" | "time" | "timetz" | "citext" => format!("CAST({operand} AS TEXT)"),
        // Not ours to guess: the engine's error names it.
        other => format!("CAST({operand} AS UNSUPPORTED_TYPE::{other})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lexer::tokens;

    fn embedded(source: &str) -> String {
        to_embedded(&tokens(source).unwrap()).sql
    }

    #[test]
    fn named_parameters_become_numbers() {
        let source = "select :b, :a, :b::int from t where x = ':a' and y = :a;";
        let tokens = tokens(source).unwrap();
        let (sql, names) = to_postgres(source, &tokens);
        assert_eq!(sql, "select $1, $2, $1::int from t where x = ':a' and y = $2");
        assert_eq!(names, ["b", "a"]);
        let Embedded { sql, parameters } = to_embedded(&tokens);
        assert_eq!(sql, "select ?1 , ?2 , stepwell_int(?1) from t where x = ':a' and y = ?2");
        assert_eq!(parameters, ["b", "a"]);
    }

    #[test]
    fn expressions() {
        for (source, wanted) in [
            ("select a.b::text", "select CAST(a . b AS TEXT)"),
            ("select (1 + 2)::float8", "select CAST(( 1 + 2 ) AS REAL)"),
            ("select count(*)::int", "select stepwell_int(count ( * ))"),
            ("select '{}'::jsonb::text", "select CAST(CAST('{}' AS TEXT) AS TEXT)"),
            ("select now()::date", "select date(now ( ))"),
            ("select x::timestamp(3) with time zone, y::numeric(5,2)", "select CAST(x AS TEXT) , CAST(y AS NUMERIC)"),
            ("select CURRENT_TIMESTAMP", "select now()"),
            ("select * from public.t where a ILIKE 'x%' and b <> 1", "select * from t where a MATCH 'x%' and b <> 1"),
            ("select * from t for update skip locked", "select * from t"),
            ("truncate table t", "DELETE FROM t"),
            (
                "select E'a\\n\\'b', $$it's$$, a || b, c >= 1, d->>'x'",
                "select 'a\n''b' , 'it''s' , a || b , c >= 1 , d ->> 'x'",
            ),
            ("select -1, a*-1", "select - 1 , a *- 1"),
            ("select (a in (1))::bool", "select stepwell_bool(( a in ( 1 ) ))"),
        ] {
            assert_eq!(embedded(source), wanted, "{source}");
        }
    }

    #[test]
    fn definitions() {
        for (source, wanted) in [
            (
                "create table if not exists t (id bigserial primary key, at timestamptz not null default now(), d date, \
                 doc jsonb default '{}'::jsonb, n numeric(10,2), ok boolean default true, date text, \
                 primary key (id), v character varying(20), f double precision, tags text[], unique (d, n))",
                "create table if not exists t ( id INTEGER PRIMARY KEY AUTOINCREMENT , at TIMESTAMPTZ_TEXT not null \
                 DEFAULT (now ( )) , d DATE_TEXT , doc JSONB_TEXT DEFAULT (CAST('{}' AS TEXT)) , n NUMERIC(10,2) , ok \
                 BOOLEAN DEFAULT (true) , date TEXT , primary key ( id ) , v VARCHAR(20) , f DOUBLE PRECISION , tags \
                 ARRAY_TEXT , unique ( d , n ) )",
            ),
            (
                "alter table t add column at timestamp default now()",
                "alter table t add column at TIMESTAMP_TEXT DEFAULT (now ( ))",
            ),
            ("alter table t add c uuid", "alter table t add c UUID_TEXT"),
            ("create table t as select 1::int as a", "create table t as select stepwell_int(1) as a"),
            ("alter table t rename column a to b", "alter table t rename column a TO b"),
            ("create index i on t (a, b)", "create index i on t ( a , b )"),
        ] {
            assert_eq!(embedded(source), wanted, "{source}");
        }
    }

    #[test]
    fn nonsense_goes_through() {
        for source in
            ["create table t (a.default ::int))", "create table t (a int default (1)))", "::int", ")::int", "a . ::int"]
        {
            to_embedded(&tokens(source).unwrap());
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(source in "(create table|alter|add|column|default|a|::|int|\\(|\\)|,|:p|'x'|\\.|for|update| ){0,20}") {
            if let Ok(tokens) = tokens(&source) {
                to_embedded(&tokens);
            }
        }
    }
}
