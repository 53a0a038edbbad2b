//! Words, and whether they are English.

/// Fewer words say nothing about the language.
pub const JUDGED_WORDS_MIN: usize = 20;
/// English talk is about half function words; other languages share a few of them ("no", "me", "a") and stay below this.
pub const ENGLISH_SHARE_MIN: f64 = 0.25;

/// Function words and the commonest others of spoken English.
const COMMON: &str = "a about after again all also am an and any are aren't as at back be because been before but by can \
    can't come could did didn't do does doesn't don't down even for from get go going good got had has have he he's her \
    here him his how i i'd i'll i'm i've if in into is isn't it it's its just know let's like look make maybe me more my \
    need no not now of off oh okay on one only or our out over people really right said say see she she's should so some \
    still that that's the their them then there there's they they're thing think this those time to too two um up us \
    very want was wasn't way we we're we've well were what what's when where which who why will with would yeah yes you \
    you're your";

/// The words of a text: letters, digits and apostrophes between them.
pub fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !is_word_char(c) && !is_apostrophe(c))
        .map(|w| w.trim_matches(is_apostrophe))
        .filter(|w| !w.is_empty())
}

/// Letters, digits, and accents that are written as signs of their own.
pub fn is_word_char(c: char) -> bool {
    c.is_alphanumeric() || ('\u{300}'..='\u{36F}').contains(&c)
}

pub fn is_apostrophe(c: char) -> bool {
    c == '\'' || c == '’'
}

/// How much of a text is common English words; none where there are too few words to tell.
pub fn english_share<'a>(texts: impl Iterator<Item = &'a str>) -> Option<f64> {
    let common: std::collections::BTreeSet<&str> = COMMON.split_whitespace().collect();
    let (mut all, mut english) = (0_u32, 0_u32);
    for word in texts.flat_map(words) {
        all += 1;
        let word = word.to_lowercase().replace('’', "'");
        english += u32::from(common.contains(word.as_str()));
    }
    (all as usize >= JUDGED_WORDS_MIN).then(|| f64::from(english) / f64::from(all))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(text: &str) -> Option<f64> {
        english_share(std::iter::once(text))
    }

    #[test]
    fn english_talk_is_english() {
        let text =
            "Okay, but we have to say the reason for each one, not just the order, because it's on the list here.";
        assert!(share(text).unwrap() > 0.5);
        let terse = "Gravel catches the big pieces, like leaves, and then the sand catches the smaller pieces, so the \
                     water gets clear.";
        assert!(share(terse).unwrap() > ENGLISH_SHARE_MIN);
    }

    #[test]
    fn other_languages_are_not() {
        for text in [
            "La arena atrapa las cosas pequeñas porque los espacios entre los granos son muy pequeños, y no pasa nada más.",
            "Ich glaube, dass wir zuerst den Sand waschen müssen, weil das Wasser sonst braun wird und man nichts so sieht.",
            "Je pense que nous devons d'abord laver le sable, parce que sinon l'eau sera brune et on ne verra rien du tout.",
            "Acho que a gente tem que lavar a areia primeiro, porque senão a água fica marrom e não dá para ver nada, né.",
            "我 想 我们 应该 先 洗 沙子 因为 不然 水 会 变 成 棕色 我们 什么 也 看 不 见 了",
        ] {
            assert!(share(text).unwrap() < ENGLISH_SHARE_MIN, "{text}: {:?}", share(text));
        }
    }

    #[test]
    fn a_few_words_are_not_judged() {
        assert_eq!(share("Sí. Okay."), None);
        assert_eq!(words("don’t ‘stop’ -- now").collect::<Vec<_>>(), ["don’t", "stop", "now"]);
    }
}
