use async_trait::async_trait;
use base::Entropy;
use serde_json::{Value, json};

use super::schema::{boolean, integer, json as any, object, tags, text};
use super::{Context, Failure, Made, NameRule, Property, Provider, put, tag_changes, tag_list, text as get_text};

/// `AWS::SecretsManager::Secret`
pub struct Secret;

const GONE: [&str; 1] = ["ResourceNotFoundException"];
const PASSWORD_LENGTH_MAX: u64 = 4096;

/// The secret's text: given, or made by chance once.
fn secret_text(entropy: &Entropy, wanted: &Value) -> Result<Option<String>, Failure> {
    if let Some(text) = get_text(wanted, "SecretString") {
        return Ok(Some(text.to_owned()));
    }
    let Some(rules) = wanted.get("GenerateSecretString") else { return Ok(None) };
    let password = password(entropy, rules)?;
    let (template, key) = (get_text(rules, "SecretStringTemplate"), get_text(rules, "GenerateStringKey"));
    let (Some(template), Some(key)) = (template, key) else { return Ok(Some(password)) };
    let mut value: Value =
        serde_json::from_str(template).map_err(|_| Failure::new("SecretStringTemplate must be a JSON object"))?;
    if !value.is_object() {
        return Err(Failure::new("SecretStringTemplate must be a JSON object"));
    }
    put(&mut value, key, password);
    Ok(Some(value.to_string()))
}

fn password(entropy: &Entropy, rules: &Value) -> Result<String, Failure> {
    let yes = |name: &str| rules.get(name) == Some(&Value::Bool(true));
    let excluded = get_text(rules, "ExcludeCharacters").unwrap_or_default();
    let mut classes: Vec<Vec<char>> = Vec::new();
    let mut class = |left_out: bool, characters: &str| {
        let kept: Vec<char> = characters.chars().filter(|c| !excluded.contains(*c)).collect();
        if !left_out && !kept.is_empty() {
            classes.push(kept);
        }
    };
    class(yes("ExcludeLowercase"), "abcdefghijklmnopqrstuvwxyz");
    class(yes("ExcludeUppercase"), "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
    class(yes("ExcludeNumbers"), "0123456789");
    class(yes("ExcludePunctuation"), "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~");
    class(!yes("IncludeSpace"), " ");
    let length = rules.get("PasswordLength").and_then(Value::as_u64).unwrap_or(32);
    if classes.is_empty() || length == 0 || length > PASSWORD_LENGTH_MAX {
        return Err(Failure::new("GenerateSecretString: these rules leave no password"));
    }
    let each = rules.get("RequireEachIncludedType") != Some(&Value::Bool(false));
    if each && length < classes.len() as u64 {
        return Err(Failure::new("GenerateSecretString: PasswordLength is too small for RequireEachIncludedType"));
    }
    let all: Vec<char> = classes.concat();
    // Unbiased: the operating system's bytes, taken modulo a range far below 2^64.
    let below = |n: usize| (u64::from_le_bytes(entropy.secret_bytes::<8>()) % n as u64) as usize;
    let mut letters: Vec<char> = (0..length).map(|_| all[below(all.len())]).collect();
    if each {
        for (i, class) in classes.iter().enumerate() {
            letters[i] = class[below(class.len())];
        }
        for i in (1..letters.len()).rev() {
            letters.swap(i, below(i + 1));
        }
    }
    Ok(letters.into_iter().collect())
}

#[async_trait]
impl Provider for Secret {
    fn resource_type(&self) -> &'static str {
        "AWS::SecretsManager::Secret"
    }

    fn needs(&self) -> (&'static str, &'static str) {
        ("secretsmanager", "CreateSecret")
    }

    fn schema(&self) -> &'static [Property] {
        const SCHEMA: &[Property] = &[
            text("Description"),
            object(
                "GenerateSecretString",
                &[
                    text("ExcludeCharacters"),
                    boolean("ExcludeLowercase"),
                    boolean("ExcludeNumbers"),
                    boolean("ExcludePunctuation"),
                    boolean("ExcludeUppercase"),
                    text("GenerateStringKey"),
                    boolean("IncludeSpace"),
                    integer("PasswordLength"),
                    boolean("RequireEachIncludedType"),
                    text("SecretStringTemplate"),
                ],
            ),
            text("KmsKeyId"),
            text("Name").replaces(),
            any("ReplicaRegions"),
            text("SecretString"),
            tags(),
        ];
        SCHEMA
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["Id"]
    }

    fn name_rule(&self) -> Option<NameRule> {
        Some(NameRule { property: "Name", bytes_max: 512, lower_case: false })
    }

    fn check(&self, properties: &Value) -> Result<(), String> {
        if properties.get("ReplicaRegions").is_some() {
            return Err("ReplicaRegions is not supported".to_owned());
        }
        if properties.get("SecretString").is_some() && properties.get("GenerateSecretString").is_some() {
            return Err("specify either SecretString or GenerateSecretString, not both".to_owned());
        }
        Ok(())
    }

    async fn create(&self, ctx: &Context<'_>, wanted: &Value) -> Result<Made, Failure> {
        let mut input = json!({"Name": ctx.name});
        for name in ["Description", "KmsKeyId", "Tags"] {
            if let Some(value) = wanted.get(name) {
                put(&mut input, name, value.clone());
            }
        }
        if let Some(text) = secret_text(ctx.entropy, wanted)? {
            put(&mut input, "SecretString", text);
        }
        let answer = match ctx.create("secretsmanager", "CreateSecret", input).await {
            Err(refusal) if ctx.retry && refusal.is(&["ResourceExistsException"]) => {
                ctx.call("secretsmanager", "DescribeSecret", json!({"SecretId": ctx.name})).await?
            }
            other => other?,
        };
        let arn = get_text(&answer, "ARN").ok_or_else(|| Failure::new("CreateSecret answered no ARN"))?;
        Ok(Made::new(arn, [("Id", arn.into())]))
    }

    async fn update(&self, ctx: &Context<'_>, arn: &str, old: &Value, wanted: &Value) -> Result<Made, Failure> {
        let mut input = json!({});
        for name in ["Description", "KmsKeyId"] {
            if old.get(name) != wanted.get(name) {
                put(&mut input, name, get_text(wanted, name).unwrap_or_default());
            }
        }
        let source = |v: &Value| (v.get("SecretString").cloned(), v.get("GenerateSecretString").cloned());
        if source(old) != source(wanted)
            && let Some(text) = secret_text(ctx.entropy, wanted)?
        {
            put(&mut input, "SecretString", text);
        }
        if input.as_object().is_some_and(|i| !i.is_empty()) {
            put(&mut input, "SecretId", arn);
            ctx.call("secretsmanager", "UpdateSecret", input).await?;
        }
        let (set, gone) = tag_changes(old, wanted);
        if !set.is_empty() {
            let input = json!({"SecretId": arn, "Tags": tag_list(&set, "Key", "Value")});
            ctx.call("secretsmanager", "TagResource", input).await?;
        }
        if !gone.is_empty() {
            ctx.call("secretsmanager", "UntagResource", json!({"SecretId": arn, "TagKeys": gone})).await?;
        }
        Ok(Made::new(arn, [("Id", arn.into())]))
    }

    async fn delete(&self, ctx: &Context<'_>, arn: &str, _: &Value) -> Result<(), Failure> {
        let input = json!({"SecretId": arn, "ForceDeleteWithoutRecovery": true});
        ctx.call_unless("secretsmanager", "DeleteSecret", input, &GONE).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_keep_their_rules() {
        let entropy = Entropy::from_seed(1);
        for _ in 0..50 {
            let made = password(&entropy, &json!({"PasswordLength": 4, "ExcludeCharacters": "\"@/\\"})).unwrap();
            assert_eq!(made.chars().count(), 4);
            for class in [
                char::is_lowercase as fn(char) -> bool,
                char::is_uppercase,
                |c| c.is_ascii_digit(),
                |c| c.is_ascii_punctuation(),
            ] {
                assert!(made.chars().any(class), "{made}");
            }
            assert!(!made.contains(['"', '@', '/', '\\', ' ']));
        }
        assert!(password(&entropy, &json!({"PasswordLength": 3})).is_err());
        let rules = json!({"SecretStringTemplate": "{\"username\": \"admin\"}", "GenerateStringKey": "password"});
        let text = secret_text(&entropy, &json!({"GenerateSecretString": rules})).unwrap().unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((value["username"].as_str(), value["password"].as_str().unwrap().len()), (Some("admin"), 32));
    }
}
