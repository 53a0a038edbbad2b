use winnow::Parser;
use winnow::ascii::multispace0;
use winnow::combinator::{alt, preceded, repeat, terminated};
use winnow::error::{EmptyError, ModalResult};
use winnow::stream::LocatingSlice;
use winnow::token::{any, one_of, take_while};

/// What expressions are made of. The text of a token is its span in the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    /// A name, keyword or function.
    Word(&'a str),
    /// `#name`.
    Name(&'a str),
    /// `:value`.
    Value(&'a str),
    Digits(&'a str),
    /// An operator or bracket.
    Symbol(&'a str),
    /// What no expression contains.
    Unknown(&'a str),
    End,
}

/// A token and where it stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spanned<'a> {
    pub token: Token<'a>,
    pub start: usize,
    pub end: usize,
}

type Input<'a> = LocatingSlice<&'a str>;
type Result<T> = ModalResult<T, EmptyError>;

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn is_word_start(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_'
}

fn token<'a>(input: &mut Input<'a>) -> Result<Token<'a>> {
    alt((
        (one_of(is_word_start), take_while(0.., is_word)).take().map(Token::Word),
        ('#', take_while(1.., is_word)).take().map(Token::Name),
        (':', take_while(1.., is_word)).take().map(Token::Value),
        take_while(1.., |c: char| c.is_ascii_digit()).map(Token::Digits),
        alt(("<>", "<=", ">=")).map(Token::Symbol),
        one_of(b"=<>()[],.+-").take().map(Token::Symbol),
        any.take().map(Token::Unknown),
    ))
    .parse_next(input)
}

/// Cuts an expression into tokens; the last one is [`Token::End`].
pub(crate) fn tokens(source: &str) -> Vec<Spanned<'_>> {
    let spanned = token.with_span().map(|(token, span)| Spanned { token, start: span.start, end: span.end });
    let mut all = terminated(repeat(0.., preceded(multispace0, spanned)), multispace0);
    let mut input = LocatingSlice::new(source);
    let parsed: Result<Vec<Spanned<'_>>> = all.parse_next(&mut input);
    // Every character is a token or space, so nothing is left and nothing can fail.
    let mut list = parsed.unwrap_or_default();
    list.push(Spanned { token: Token::End, start: source.len(), end: source.len() });
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_is_in_a_token() {
        let list = |s| tokens(s).into_iter().map(|t| t.token).collect::<Vec<_>>();
        assert_eq!(
            list(" a.#b[10] <>:c_1+x-> \u{e9}"),
            [
                Token::Word("a"),
                Token::Symbol("."),
                Token::Name("#b"),
                Token::Symbol("["),
                Token::Digits("10"),
                Token::Symbol("]"),
                Token::Symbol("<>"),
                Token::Value(":c_1"),
                Token::Symbol("+"),
                Token::Word("x"),
                Token::Symbol("-"),
                Token::Symbol(">"),
                Token::Unknown("\u{e9}"),
                Token::End,
            ]
        );
        assert_eq!(list("# :"), [Token::Unknown("#"), Token::Unknown(":"), Token::End]);
    }
}
