use base::Entropy;
use serde::{Deserialize, Serialize};

use super::invalid_parameter;
use crate::check;
use crate::identity::Operations;
use crate::tx::{Outcome, View};

const LOWER: &str = "abcdefghijklmnopqrstuvwxyz";
const UPPER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const DIGITS: &str = "0123456789";
const PUNCTUATION: &str = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";

pub(super) fn register(operations: &mut Operations) {
    operations.read("GetRandomPassword", get_random_password);
}

/// Letters and digits such as end a secret's ARN.
pub(super) fn letters(entropy: &Entropy, count: usize) -> String {
    let letters: Vec<char> = [LOWER, UPPER, DIGITS].concat().chars().collect();
    (0..count).map(|_| letters[entropy.below(letters.len() as u64) as usize]).collect()
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetRandomPassword {
    password_length: Option<i64>,
    #[serde(default)]
    exclude_characters: String,
    #[serde(default)]
    exclude_numbers: bool,
    #[serde(default)]
    exclude_punctuation: bool,
    #[serde(default)]
    exclude_uppercase: bool,
    #[serde(default)]
    exclude_lowercase: bool,
    #[serde(default)]
    include_space: bool,
    require_each_included_type: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct RandomPassword {
    random_password: String,
}

fn get_random_password(view: &View<'_>, input: GetRandomPassword) -> Outcome<RandomPassword> {
    let length = input.password_length.unwrap_or(32);
    check::range(length, "passwordLength", 1, 4096)?;
    check::length(&input.exclude_characters, "excludeCharacters", 0, 4096)?;
    let length = usize::try_from(length).unwrap_or(1);
    let kinds = [
        (LOWER, input.exclude_lowercase),
        (UPPER, input.exclude_uppercase),
        (DIGITS, input.exclude_numbers),
        (PUNCTUATION, input.exclude_punctuation),
        (" ", !input.include_space),
    ];
    let kinds: Vec<Vec<char>> = kinds
        .iter()
        .filter(|(_, excluded)| !excluded)
        .map(|(kind, _)| kind.chars().filter(|c| !input.exclude_characters.contains(*c)).collect())
        .collect();
    let all: Vec<char> = kinds.concat();
    let each = input.require_each_included_type.unwrap_or(true);
    if all.is_empty() || (each && kinds.iter().any(Vec::is_empty)) {
        return Err(invalid_parameter("You excluded every character of an included type.").into());
    }
    if each && length < kinds.len() {
        let message = "You set RequireEachIncludedType, but the password is too short for each included type.";
        return Err(invalid_parameter(message).into());
    }
    let mut secret = Secret { entropy: view.entropy };
    let mut password: Vec<char> = Vec::with_capacity(length);
    if each {
        password.extend(kinds.iter().map(|kind| secret.pick(kind)));
    }
    while password.len() < length {
        password.push(secret.pick(&all));
    }
    // Those of each kind stand first until here.
    for i in (1..password.len()).rev() {
        password.swap(i, secret.below(i + 1));
    }
    Ok(RandomPassword { random_password: password.into_iter().collect() })
}

/// Even choices that nobody can guess.
struct Secret<'a> {
    entropy: &'a Entropy,
}

impl Secret<'_> {
    fn pick(&mut self, among: &[char]) -> char {
        among[self.below(among.len())]
    }

    fn below(&mut self, bound: usize) -> usize {
        // 64 bits over at most 4096 choices: no choice is likelier than another by more than 2^-52.
        let number = u64::from_le_bytes(self.entropy.secret_bytes::<8>());
        ((u128::from(number) * bound as u128) >> 64) as usize
    }
}
