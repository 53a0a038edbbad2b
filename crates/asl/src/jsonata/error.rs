//! What goes wrong, in the words of the JSONata reference.

use serde_json::Value;

use super::convert;
use super::value::Val;

/// How much of a value a message quotes; AWS cuts a cause at 32,768 characters.
const QUOTED_BYTES_MAX: usize = 32 * 1024;

pub(super) type Result<T> = std::result::Result<T, Box<Failure>>;

/// An error on its way up: each level adds what it knows and no level below knew.
#[derive(Debug, Clone, Default)]
pub(super) struct Failure {
    pub code: Code,
    pub offset: Option<usize>,
    /// The operator or function that it is about.
    pub token: Option<Box<str>>,
    /// It is a number or another literal, which is not quoted.
    pub plain_token: bool,
    /// Which argument, counted from 1.
    pub index: Option<usize>,
    /// JSON.
    pub value: Option<String>,
    /// JSON.
    pub value2: Option<String>,
    pub element_type: Option<&'static str>,
    /// The whole message where the expression or a function gives its own.
    pub message: Option<String>,
}

/// A code of the reference's table, or a bound that was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Code {
    Listed(&'static str),
    #[default]
    Depth,
    Memory,
    Time,
}

impl Code {
    pub fn as_str(self) -> &'static str {
        match self {
            Code::Listed(code) => code,
            Code::Depth | Code::Memory | Code::Time => "",
        }
    }
}

impl Failure {
    pub fn new(code: &'static str) -> Box<Failure> {
        Box::new(Failure { code: Code::Listed(code), ..Failure::default() })
    }

    pub fn bound(code: Code) -> Box<Failure> {
        Box::new(Failure { code, ..Failure::default() })
    }

    pub fn message(code: &'static str, message: impl Into<String>) -> Box<Failure> {
        Box::new(Failure { code: Code::Listed(code), message: Some(message.into()), ..Failure::default() })
    }

    pub fn value(mut self: Box<Self>, value: &Val<'_>) -> Box<Failure> {
        self.value = Some(quote(value));
        self
    }

    pub fn value2(mut self: Box<Self>, value: &Val<'_>) -> Box<Failure> {
        self.value2 = Some(quote(value));
        self
    }

    pub fn text(mut self: Box<Self>, value: &str) -> Box<Failure> {
        self.value = Some(quote_text(value));
        self
    }

    pub fn index(mut self: Box<Self>, index: usize) -> Box<Failure> {
        self.index = Some(index);
        self
    }

    /// What the elements of an array should be.
    pub fn element_type(mut self: Box<Self>, plural: &'static str) -> Box<Failure> {
        self.element_type = Some(plural);
        self
    }

    pub fn token(mut self: Box<Self>, token: &str) -> Box<Failure> {
        self.token = Some(token.into());
        self
    }

    pub fn at(mut self: Box<Self>, offset: usize) -> Box<Failure> {
        self.offset = Some(offset);
        self
    }

    /// Says where and what it is about, unless that is known already.
    pub fn or_at(mut self: Box<Self>, offset: usize, token: Option<&str>) -> Box<Failure> {
        self.offset.get_or_insert(offset);
        if self.token.is_none() {
            self.token = token.map(Into::into);
        }
        self
    }

    /// The message, with what it names put in.
    pub fn render(&self) -> String {
        if let Some(message) = &self.message {
            return message.clone();
        }
        let template = match self.code {
            Code::Listed(code) => template(code),
            Code::Depth => {
                "Stack overflow error: Check for non-terminating recursive function. Consider rewriting as tail-recursive."
            }
            Code::Memory => "Expression evaluation memory limit exceeded: Check for excessive memory usage",
            Code::Time => "Expression evaluation timeout: Check for infinite loop",
        };
        self.fill(template)
    }

    fn fill(&self, template: &str) -> String {
        let mut text = String::with_capacity(template.len() + 16);
        let mut rest = template;
        while let Some(start) = rest.find('{') {
            let Some(length) = rest[start..].find('}') else { break };
            text.push_str(&rest[..start]);
            match &rest[start + 1..start + length] {
                "value" => text.push_str(self.value.as_deref().unwrap_or("undefined")),
                "value2" => text.push_str(self.value2.as_deref().unwrap_or("undefined")),
                "token" if self.plain_token => text.push_str(self.token.as_deref().unwrap_or_default()),
                "token" => text.push_str(&self.token.as_deref().map_or_else(|| "undefined".to_owned(), quote_text)),
                "type" => text.push_str(&quote_text(self.element_type.unwrap_or_default())),
                "name" => text.push_str(self.token.as_deref().unwrap_or("undefined")),
                "index" => text.push_str(&self.index.unwrap_or(1).to_string()),
                other => text.push_str(other),
            }
            rest = &rest[start + length + 1..];
        }
        text + rest
    }
}

fn quote(value: &Val<'_>) -> String {
    match value {
        Val::Undefined => "undefined".to_owned(),
        value => convert::quoted(value, QUOTED_BYTES_MAX),
    }
}

fn quote_text(text: &str) -> String {
    let end = (0..=text.len().min(QUOTED_BYTES_MAX)).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    Value::from(&text[..end]).to_string()
}

/// The table of the reference implementation: compatible texts are the point.
#[rustfmt::skip]
fn template(code: &str) -> &'static str {
    match code {
        "S0101" => "String literal must be terminated by a matching quote",
        "S0102" => "Number out of range: {token}",
        "S0103" => "Unsupported escape sequence: \\{token}",
        "S0104" => "The escape sequence \\u must be followed by 4 hex digits",
        "S0105" => "Quoted property name must be terminated with a backquote (`)",
        "S0106" => "Comment has no closing tag",
        "S0201" => "Syntax error: {token}",
        "S0202" => "Expected {value}, got {token}",
        "S0203" => "Expected {value} before end of expression",
        "S0204" => "Unknown operator: {token}",
        "S0205" => "Unexpected token: {token}",
        "S0207" => "Unexpected end of expression",
        "S0208" => "Parameter {value} of function definition must be a variable name (start with $)",
        "S0209" => "A predicate cannot follow a grouping expression in a step",
        "S0210" => "Each step can only have one grouping expression",
        "S0211" => "The symbol {token} cannot be used as a unary operator",
        "S0212" => "The left side of := must be a variable name (start with $)",
        "S0213" => "The literal value {value} cannot be used as a step within a path expression",
        "S0214" => "The right side of {token} must be a variable name (start with $)",
        "S0215" => "A context variable binding must precede any predicates on a step",
        "S0216" => "A context variable binding must precede the 'order-by' clause on a step",
        "S0217" => "The object representing the 'parent' cannot be derived from this expression",
        "S0301" => "Empty regular expressions are not allowed",
        "S0302" => "No terminating / in regular expression",
        "S0303" => "Invalid regular expression: {name}",
        "S0401" => "Type parameters can only be applied to functions and arrays",
        "S0402" => "Choice groups containing parameterized types are not supported",
        "T0410" => "Argument {index} of function {token} does not match function signature",
        "T0411" => "Context value is not a compatible type with argument {index} of function {token}",
        "T0412" => "Argument {index} of function {token} must be an array of {type}",
        "D1001" => "Number out of range: {value}",
        "D1002" => "Cannot negate a non-numeric value: {value}",
        "T1003" => "Key in object structure must evaluate to a string; got: {value}",
        "D1004" => "Regular expression matches zero length string",
        "T1005" => "Attempted to invoke a non-function. Did you mean ${name}?",
        "T1006" => "Attempted to invoke a non-function",
        "T1007" => "Attempted to partially apply a non-function. Did you mean ${name}?",
        "T1008" => "Attempted to partially apply a non-function",
        "D1009" => "Multiple key definitions evaluate to same key: {value}",
        "T1010" => "The matcher function argument passed to function {token} does not return the correct object structure",
        "T2001" => "The left side of the {token} operator must evaluate to a number",
        "T2002" => "The right side of the {token} operator must evaluate to a number",
        "T2003" => "The left side of the range operator (..) must evaluate to an integer",
        "T2004" => "The right side of the range operator (..) must evaluate to an integer",
        "T2006" => "The right side of the function application operator ~> must be a function",
        "T2007" => "Type mismatch when comparing values {value} and {value2} in order-by clause",
        "T2008" => "The expressions within an order-by clause must evaluate to numeric or string values",
        "T2009" => "The values {value} and {value2} either side of operator {token} must be of the same data type",
        "T2010" => "The expressions either side of operator {token} must evaluate to numeric or string values",
        "T2011" => "The insert/update clause of the transform expression must evaluate to an object: {value}",
        "T2012" => "The delete clause of the transform expression must evaluate to a string or array of strings: {value}",
        "T2013" => "The transform expression clones the input object using the $clone() function.  This has been overridden in the current scope by a non-function.",
        "D2014" => "The size of the sequence allocated by the range operator (..) must not exceed 1e6.  Attempted to allocate {value}.",
        "D3001" => "Attempting to invoke string function on Infinity or NaN",
        "D3010" => "Second argument of replace function cannot be an empty string",
        "D3011" => "Fourth argument of replace function must evaluate to a positive number",
        "D3012" => "Attempted to replace a matched string with a non-string value",
        "D3020" => "Third argument of split function must evaluate to a positive number",
        "D3030" => "Unable to cast value to a number: {value}",
        "D3040" => "Third argument of match function must evaluate to a positive number",
        "D3050" => "The second argument of reduce function must be a function with at least two arguments",
        "D3060" => "The sqrt function cannot be applied to a negative number: {value}",
        "D3061" => "The power function has resulted in a value that cannot be represented as a JSON number: base={value}, exponent={value2}",
        "D3070" => "The single argument form of the sort function can only be applied to an array of strings or an array of numbers.  Use the second argument to specify a comparison function",
        "D3080" => "The picture string must only contain a maximum of two sub-pictures",
        "D3081" => "The sub-picture must not contain more than one instance of the 'decimal-separator' character",
        "D3082" => "The sub-picture must not contain more than one instance of the 'percent' character",
        "D3083" => "The sub-picture must not contain more than one instance of the 'per-mille' character",
        "D3084" => "The sub-picture must not contain both a 'percent' and a 'per-mille' character",
        "D3085" => "The mantissa part of a sub-picture must contain at least one character that is either an 'optional digit character' or a member of the 'decimal digit family'",
        "D3086" => "The sub-picture must not contain a passive character that is preceded by an active character and that is followed by another active character",
        "D3087" => "The sub-picture must not contain a 'grouping-separator' character that appears adjacent to a 'decimal-separator' character",
        "D3088" => "The sub-picture must not contain a 'grouping-separator' at the end of the integer part",
        "D3089" => "The sub-picture must not contain two adjacent instances of the 'grouping-separator' character",
        "D3090" => "The integer part of the sub-picture must not contain a member of the 'decimal digit family' that is followed by an instance of the 'optional digit character'",
        "D3091" => "The fractional part of the sub-picture must not contain an instance of the 'optional digit character' that is followed by a member of the 'decimal digit family'",
        "D3092" => "A sub-picture that contains a 'percent' or 'per-mille' character must not contain a character treated as an 'exponent-separator'",
        "D3093" => "The exponent part of the sub-picture must comprise only of one or more characters that are members of the 'decimal digit family'",
        "D3100" => "The radix of the formatBase function must be between 2 and 36.  It was given {value}",
        "D3110" => "The argument of the toMillis function must be an ISO 8601 formatted timestamp. Given {value}",
        "D3120" => "Syntax error in expression passed to function eval: {value}",
        "D3121" => "Dynamic error evaluating the expression passed to function eval: {value}",
        "D3130" => "Formatting or parsing an integer as a sequence starting with {value} is not supported by this implementation",
        "D3131" => "In a decimal digit pattern, all digits must be from the same decimal group",
        "D3132" => "Unknown component specifier {value} in date/time picture string",
        "D3133" => "The 'name' modifier can only be applied to months and days in the date/time picture string, not {value}",
        "D3134" => "The timezone integer format specifier cannot have more than four digits",
        "D3135" => "No matching closing bracket ']' in date/time picture string",
        "D3136" => "The date/time picture string is missing specifiers required to parse the timestamp",
        "D3138" => "The $single() function expected exactly 1 matching result.  Instead it matched more.",
        "D3139" => "The $single() function expected exactly 1 matching result.  Instead it matched 0.",
        "D3140" => "Malformed URL passed to ${name}(): {value}",
        _ => "Unknown error",
    }
}
