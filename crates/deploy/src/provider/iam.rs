use async_trait::async_trait;
use serde_json::{Value, json};

use super::schema::{document, integer, objects, tags, text, texts};
use super::{
    Context, Failure, Made, NameRule, Property, Provider, Refusal, list, put, tag_changes, tag_list, text as get_text,
};

const GONE: [&str; 2] = ["NoSuchEntity", "NoSuchEntityException"];
const TAKEN: [&str; 2] = ["EntityAlreadyExists", "EntityAlreadyExistsException"];

/// `AWS::IAM::Role`
pub struct Role;

fn role_made(role: &Value, name: &str) -> Made {
    Made::new(name, [("Arn", role["Arn"].clone()), ("RoleId", role["RoleId"].clone())])
}

/// Brings attached and inline policies from `old` to `wanted`.
async fn role_policies(ctx: &Context<'_>, role: &str, old: &Value, wanted: &Value) -> Result<(), Refusal> {
    let (before, after) = (list(old, "ManagedPolicyArns"), list(wanted, "ManagedPolicyArns"));
    for arn in before.iter().filter(|a| !after.contains(a)) {
        let input = json!({"RoleName": role, "PolicyArn": arn});
        ctx.call_unless("iam", "DetachRolePolicy", input, &GONE).await?;
    }
    for arn in after.iter().filter(|a| !before.contains(a)) {
        ctx.call("iam", "AttachRolePolicy", json!({"RoleName": role, "PolicyArn": arn})).await?;
    }
    let (before, after) = (list(old, "Policies"), list(wanted, "Policies"));
    for policy in before.iter().filter(|b| !after.iter().any(|a| a["PolicyName"] == b["PolicyName"])) {
        let input = json!({"RoleName": role, "PolicyName": policy["PolicyName"]});
        ctx.call_unless("iam", "DeleteRolePolicy", input, &GONE).await?;
    }
    for policy in after.iter().filter(|a| !before.contains(a)) {
        let document = policy["PolicyDocument"].to_string();
        let input = json!({"RoleName": role, "PolicyName": policy["PolicyName"], "PolicyDocument": document});
        ctx.call("iam", "PutRolePolicy", input).await?;
    }
    Ok(())
}

#[async_trait]
impl Provider for Role {
    fn resource_type(&self) -> &'static str {
        "AWS::IAM::Role"
    }

    fn needs(&self) -> (&'static str, &'static str) {
        ("iam", "CreateRole")
    }

    fn schema(&self) -> &'static [Property] {
        const SCHEMA: &[Property] = &[
            document("AssumeRolePolicyDocument").required(),
            text("Description"),
            texts("ManagedPolicyArns"),
            integer("MaxSessionDuration"),
            text("Path").replaces(),
            text("PermissionsBoundary"),
            objects("Policies", &[text("PolicyName").required(), document("PolicyDocument").required()]),
            text("RoleName").replaces(),
            tags(),
        ];
        SCHEMA
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["Arn", "RoleId"]
    }

    fn name_rule(&self) -> Option<NameRule> {
        Some(NameRule { property: "RoleName", bytes_max: 64, lower_case: false })
    }

    async fn create(&self, ctx: &Context<'_>, wanted: &Value) -> Result<Made, Failure> {
        let mut input = json!({
            "RoleName": ctx.name,
            "AssumeRolePolicyDocument": wanted["AssumeRolePolicyDocument"].to_string(),
        });
        for name in ["Description", "MaxSessionDuration", "Path", "PermissionsBoundary", "Tags"] {
            if let Some(value) = wanted.get(name) {
                put(&mut input, name, value.clone());
            }
        }
        let role = match ctx.create("iam", "CreateRole", input).await {
            Err(refusal) if ctx.retry && refusal.is(&TAKEN) => {
                ctx.call("iam", "GetRole", json!({"RoleName": ctx.name})).await?
            }
            other => other?,
        };
        let done = role_policies(ctx, ctx.name, &json!({}), wanted).await;
        done.map_err(|refusal| Failure::from(refusal).made(ctx.name))?;
        Ok(role_made(&role["Role"], ctx.name))
    }

    async fn update(&self, ctx: &Context<'_>, name: &str, old: &Value, wanted: &Value) -> Result<Made, Failure> {
        if old["AssumeRolePolicyDocument"] != wanted["AssumeRolePolicyDocument"] {
            let document = wanted["AssumeRolePolicyDocument"].to_string();
            let input = json!({"RoleName": name, "PolicyDocument": document});
            ctx.call("iam", "UpdateAssumeRolePolicy", input).await?;
        }
        let differs = |member: &str| old.get(member) != wanted.get(member);
        if differs("Description") || differs("MaxSessionDuration") {
            let description = get_text(wanted, "Description").unwrap_or_default();
            let duration = wanted.get("MaxSessionDuration").cloned().unwrap_or_else(|| json!(3600));
            let input = json!({"RoleName": name, "Description": description, "MaxSessionDuration": duration});
            ctx.call("iam", "UpdateRole", input).await?;
        }
        if differs("PermissionsBoundary") {
            match wanted.get("PermissionsBoundary") {
                Some(arn) => {
                    let input = json!({"RoleName": name, "PermissionsBoundary": arn});
                    ctx.call("iam", "PutRolePermissionsBoundary", input).await?;
                }
                None => drop(ctx.call("iam", "DeleteRolePermissionsBoundary", json!({"RoleName": name})).await?),
            }
        }
        role_policies(ctx, name, old, wanted).await?;
        let (set, gone) = tag_changes(old, wanted);
        if !set.is_empty() {
            ctx.call("iam", "TagRole", json!({"RoleName": name, "Tags": tag_list(&set, "Key", "Value")})).await?;
        }
        if !gone.is_empty() {
            ctx.call("iam", "UntagRole", json!({"RoleName": name, "TagKeys": gone})).await?;
        }
        let role = ctx.call("iam", "GetRole", json!({"RoleName": name})).await?;
        Ok(role_made(&role["Role"], name))
    }

    async fn delete(&self, ctx: &Context<'_>, name: &str, properties: &Value) -> Result<(), Failure> {
        role_policies(ctx, name, properties, &json!({})).await?;
        ctx.call_unless("iam", "DeleteRole", json!({"RoleName": name}), &GONE).await?;
        Ok(())
    }
}

/// `AWS::IAM::Policy`: one inline policy in several roles, users and groups.
pub struct Policy;

/// Property, operation to put, operation to delete, member.
const HOLDERS: [(&str, &str, &str, &str); 3] = [
    ("Roles", "PutRolePolicy", "DeleteRolePolicy", "RoleName"),
    ("Users", "PutUserPolicy", "DeleteUserPolicy", "UserName"),
    ("Groups", "PutGroupPolicy", "DeleteGroupPolicy", "GroupName"),
];

async fn inline(ctx: &Context<'_>, old: &Value, wanted: &Value) -> Result<(), Failure> {
    for (property, put_operation, delete_operation, member) in HOLDERS {
        let renamed = old.get("PolicyName") != wanted.get("PolicyName");
        for holder in list(old, property).iter().filter(|h| renamed || !list(wanted, property).contains(h)) {
            let input = json!({member: holder, "PolicyName": old["PolicyName"]});
            ctx.call_unless("iam", delete_operation, input, &GONE).await?;
        }
        for holder in list(wanted, property) {
            let document = wanted["PolicyDocument"].to_string();
            let input = json!({member: holder, "PolicyName": wanted["PolicyName"], "PolicyDocument": document});
            ctx.call("iam", put_operation, input).await?;
        }
    }
    Ok(())
}

#[async_trait]
impl Provider for Policy {
    fn resource_type(&self) -> &'static str {
        "AWS::IAM::Policy"
    }

    fn needs(&self) -> (&'static str, &'static str) {
        ("iam", "PutRolePolicy")
    }

    fn schema(&self) -> &'static [Property] {
        const SCHEMA: &[Property] = &[
            texts("Groups"),
            document("PolicyDocument").required(),
            text("PolicyName").required(),
            texts("Roles"),
            texts("Users"),
        ];
        SCHEMA
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["Id"]
    }

    fn check(&self, properties: &Value) -> Result<(), String> {
        if HOLDERS.iter().all(|h| list(properties, h.0).is_empty()) {
            return Err("At least one of [Groups,Roles,Users] must be non-empty.".to_owned());
        }
        Ok(())
    }

    async fn create(&self, ctx: &Context<'_>, wanted: &Value) -> Result<Made, Failure> {
        inline(ctx, &json!({}), wanted).await?;
        Ok(Made::new(ctx.name, [("Id", ctx.name.into())]))
    }

    async fn update(&self, ctx: &Context<'_>, id: &str, old: &Value, wanted: &Value) -> Result<Made, Failure> {
        inline(ctx, old, wanted).await?;
        Ok(Made::new(id, [("Id", id.into())]))
    }

    async fn delete(&self, ctx: &Context<'_>, _: &str, properties: &Value) -> Result<(), Failure> {
        inline(ctx, properties, &json!({})).await
    }
}

/// `AWS::IAM::ManagedPolicy`
pub struct ManagedPolicy;

/// Property, operation to attach, operation to detach, member.
const ATTACHED: [(&str, &str, &str, &str); 3] = [
    ("Roles", "AttachRolePolicy", "DetachRolePolicy", "RoleName"),
    ("Users", "AttachUserPolicy", "DetachUserPolicy", "UserName"),
    ("Groups", "AttachGroupPolicy", "DetachGroupPolicy", "GroupName"),
];

async fn attach(ctx: &Context<'_>, arn: &str, old: &Value, wanted: &Value) -> Result<(), Failure> {
    for (property, attach_operation, detach_operation, member) in ATTACHED {
        let (before, after) = (list(old, property), list(wanted, property));
        for holder in before.iter().filter(|h| !after.contains(h)) {
            let input = json!({member: holder, "PolicyArn": arn});
            ctx.call_unless("iam", detach_operation, input, &GONE).await?;
        }
        for holder in after.iter().filter(|h| !before.contains(h)) {
            ctx.call("iam", attach_operation, json!({member: holder, "PolicyArn": arn})).await?;
        }
    }
    Ok(())
}

fn policy_made(arn: &str) -> Made {
    Made::new(arn, [("PolicyArn", arn.into())])
}

#[async_trait]
impl Provider for ManagedPolicy {
    fn resource_type(&self) -> &'static str {
        "AWS::IAM::ManagedPolicy"
    }

    fn needs(&self) -> (&'static str, &'static str) {
        ("iam", "CreatePolicy")
    }

    fn schema(&self) -> &'static [Property] {
        const SCHEMA: &[Property] = &[
            text("Description").replaces(),
            texts("Groups"),
            text("ManagedPolicyName").replaces(),
            text("Path").replaces(),
            document("PolicyDocument").required(),
            texts("Roles"),
            texts("Users"),
        ];
        SCHEMA
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["PolicyArn"]
    }

    fn name_rule(&self) -> Option<NameRule> {
        Some(NameRule { property: "ManagedPolicyName", bytes_max: 128, lower_case: false })
    }

    async fn create(&self, ctx: &Context<'_>, wanted: &Value) -> Result<Made, Failure> {
        let mut input = json!({"PolicyName": ctx.name, "PolicyDocument": wanted["PolicyDocument"].to_string()});
        for name in ["Description", "Path"] {
            if let Some(value) = wanted.get(name) {
                put(&mut input, name, value.clone());
            }
        }
        let arn = match ctx.create("iam", "CreatePolicy", input).await {
            Err(refusal) if ctx.retry && refusal.is(&TAKEN) => {
                let path = get_text(wanted, "Path").unwrap_or("/");
                format!("arn:aws:iam::{}:policy{path}{}", ctx.scope.account(), ctx.name)
            }
            other => get_text(&other?["Policy"], "Arn").unwrap_or_default().to_owned(),
        };
        attach(ctx, &arn, &json!({}), wanted).await.map_err(|failure| failure.made(&arn))?;
        Ok(policy_made(&arn))
    }

    async fn update(&self, ctx: &Context<'_>, arn: &str, old: &Value, wanted: &Value) -> Result<Made, Failure> {
        if old["PolicyDocument"] != wanted["PolicyDocument"] {
            let document = wanted["PolicyDocument"].to_string();
            let input = json!({"PolicyArn": arn, "PolicyDocument": document, "SetAsDefault": true});
            // IAM keeps five versions: the oldest makes room.
            let versions = ctx.call("iam", "ListPolicyVersions", json!({"PolicyArn": arn})).await?;
            let others: Vec<&Value> =
                list(&versions, "Versions").iter().filter(|v| v["IsDefaultVersion"] != true).collect();
            if others.len() >= 4
                && let Some(oldest) = others.last()
            {
                let input = json!({"PolicyArn": arn, "VersionId": oldest["VersionId"]});
                ctx.call("iam", "DeletePolicyVersion", input).await?;
            }
            ctx.call("iam", "CreatePolicyVersion", input).await?;
        }
        attach(ctx, arn, old, wanted).await?;
        Ok(policy_made(arn))
    }

    async fn delete(&self, ctx: &Context<'_>, arn: &str, properties: &Value) -> Result<(), Failure> {
        attach(ctx, arn, properties, &json!({})).await?;
        let input = json!({"PolicyArn": arn});
        if let Some(versions) = ctx.call_unless("iam", "ListPolicyVersions", input.clone(), &GONE).await? {
            for version in list(&versions, "Versions").iter().filter(|v| v["IsDefaultVersion"] != true) {
                let input = json!({"PolicyArn": arn, "VersionId": version["VersionId"]});
                ctx.call_unless("iam", "DeletePolicyVersion", input, &GONE).await?;
            }
        }
        ctx.call_unless("iam", "DeletePolicy", input, &GONE).await?;
        Ok(())
    }
}
