//! Names as AWS's Java SDK derives them from the service models.

/// Every service with its actions, one a line: name in resources, service id, actions.
const OPERATIONS: &str = include_str!("../data/operations.txt");

/// Names of all services in `aws-sdk:` resources, in order.
pub fn services() -> impl Iterator<Item = &'static str> {
    lines().map(|(name, ..)| name)
}

/// The actions of a service, `getObject` and so on; `None` if AWS has no such service.
pub fn actions(service: &str) -> Option<impl Iterator<Item = &'static str> + use<>> {
    line(service).map(|(_, actions)| actions.split(' '))
}

/// What error names of a service begin with: `SecretsManager`, `DynamoDb`.
pub fn service_class(service: &str) -> Option<String> {
    line(service).map(|(id, _)| pascal(id.strip_suffix(" Service").unwrap_or(id)))
}

/// The class of an error shape: `NoSuchKey` and `DBClusterNotFoundFault` become `NoSuchKeyException` and
/// `DbClusterNotFoundException`.
pub fn exception_class(shape: &str) -> String {
    let name = shape.strip_suffix("Fault").or_else(|| shape.strip_suffix("Exception")).unwrap_or(shape);
    pascal(name) + "Exception"
}

fn lines() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    OPERATIONS.lines().filter_map(|line| {
        let (name, rest) = line.split_once('\t')?;
        let (id, actions) = rest.split_once('\t')?;
        Some((name, id, actions))
    })
}

fn line(service: &str) -> Option<(&'static str, &'static str)> {
    lines().find(|(name, ..)| *name == service).map(|(_, id, actions)| (id, actions))
}

/// `DBInstanceId` becomes `DbInstanceId`: leading capitals that do not begin a word become small.
pub(crate) fn java_member(member: &str) -> String {
    if member == "NULL" {
        return "Nul".to_owned(); // AWS's SDK renames this one: DynamoDB's.
    }
    let chars: Vec<char> = member.chars().collect();
    let is_capital = |i: usize| chars.get(i).is_some_and(char::is_ascii_uppercase);
    let is_small = |i: usize| chars.get(i).is_some_and(char::is_ascii_lowercase);
    let mut end = 1;
    while is_capital(end) && !is_small(end + 1) {
        end += 1;
    }
    let mut name = String::with_capacity(member.len());
    for (i, c) in chars.into_iter().enumerate() {
        name.push(match i {
            0 => c.to_ascii_uppercase(),
            _ if i < end => c.to_ascii_lowercase(),
            _ => c,
        });
    }
    name
}

/// The words of a name, each with one capital.
fn pascal(name: &str) -> String {
    let chars: Vec<char> = name.chars().collect();
    let mut result = String::with_capacity(name.len());
    let mut begins = true;
    for (i, &c) in chars.iter().enumerate() {
        if !c.is_ascii_alphanumeric() {
            begins = true;
            continue;
        }
        let before = i.checked_sub(1).map(|i| chars[i]);
        let followed = chars.get(i + 1).is_some_and(char::is_ascii_alphanumeric);
        let after_small = before.is_some_and(|b| b.is_ascii_lowercase()) && c.is_ascii_uppercase() && followed;
        let after_digit = before.is_some_and(|b| b.is_ascii_digit()) && c.is_ascii_alphabetic();
        // The last capital of an acronym begins the next word.
        let ends_acronym = before.is_some_and(|b| b.is_ascii_uppercase())
            && c.is_ascii_uppercase()
            && chars.get(i + 1).is_some_and(char::is_ascii_lowercase)
            && !is_version(&chars, i + 1);
        begins |= after_small || after_digit || ends_acronym || is_version(&chars, i);
        result.push(if begins { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() });
        begins = false;
    }
    result
}

/// Whether `v2` or the like begins here, after an acronym: a word of its own.
fn is_version(chars: &[char], at: usize) -> bool {
    chars.get(at) == Some(&'v')
        && chars.get(at + 1).is_some_and(char::is_ascii_digit)
        && at > 0
        && chars[at - 1].is_ascii_uppercase()
}
