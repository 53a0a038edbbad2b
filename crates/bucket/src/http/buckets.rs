//! Operations on buckets and their settings.

use std::sync::Arc;

use s3s::dto::*;
use s3s::{S3Request, S3Response};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use service::Fault;

use super::convert::*;
use super::exchange::Exchange;
use super::objects::is_plain_acl;
use super::s3::Api;
use crate::api::Get;
use crate::bucket_record::Versioning;
use crate::fault::not_implemented;
use crate::model::{from_json, timestamp, to_json};
use crate::settings::Setting;

type Answered<T> = Result<S3Response<T>, Fault>;

impl Api {
    pub(super) async fn create(
        &self,
        x: &Arc<Exchange>,
        request: S3Request<CreateBucketInput>,
    ) -> Answered<CreateBucketOutput> {
        let input = request.input;
        if input.object_lock_enabled_for_bucket == Some(true) {
            return Err(not_implemented("object lock"));
        }
        if !is_plain_acl(input.acl.as_ref().map(BucketCannedACL::as_str)) {
            return Err(not_implemented("ACLs that grant anything to others than the owner; use a bucket policy"));
        }
        let configuration = input.create_bucket_configuration.as_ref();
        let location = configuration.and_then(|c| c.location_constraint.as_ref()).map(BucketLocationConstraint::as_str);
        let ownership = input.object_ownership.as_ref().map(ObjectOwnership::as_str);
        self.buckets.create_bucket(&x.call, &input.bucket, location, ownership, true).await?;
        Ok(S3Response::new(CreateBucketOutput { location: Some(format!("/{}", input.bucket)) }))
    }

    pub(super) fn head_bucket(
        &self,
        x: &Arc<Exchange>,
        request: S3Request<HeadBucketInput>,
    ) -> Answered<HeadBucketOutput> {
        check_owner(x, request.input.expected_bucket_owner.as_ref())?;
        let bucket = self.buckets.bucket(&x.call, &request.input.bucket)?;
        let output = HeadBucketOutput { bucket_region: Some(bucket.region), ..HeadBucketOutput::default() };
        Ok(S3Response::new(output))
    }

    pub(super) async fn list_all(
        &self,
        x: &Arc<Exchange>,
        request: S3Request<ListBucketsInput>,
    ) -> Answered<ListBucketsOutput> {
        let input = request.input;
        let prefix = input.prefix.clone().unwrap_or_default();
        let is_paged = input.max_buckets.is_some() || input.prefix.is_some() || input.bucket_region.is_some();
        let (token, max) = (input.continuation_token.as_deref(), input.max_buckets.map(i64::from));
        let (found, next) = self.buckets.list_buckets(&x.call, &prefix, input.bucket_region, token, max).await?;
        let buckets = found.into_iter().map(|entry| Bucket {
            creation_date: Some(timestamp(entry.bucket.created)),
            bucket_region: Some(entry.bucket.region).filter(|_| is_paged),
            name: Some(entry.name),
        });
        Ok(S3Response::new(ListBucketsOutput {
            buckets: Some(buckets.collect()),
            continuation_token: next,
            owner: owner(x.call.scope.account()),
            prefix: input.prefix,
        }))
    }

    pub(super) fn location(
        &self,
        x: &Arc<Exchange>,
        request: S3Request<GetBucketLocationInput>,
    ) -> Answered<GetBucketLocationOutput> {
        check_owner(x, request.input.expected_bucket_owner.as_ref())?;
        let bucket = self.buckets.bucket(&x.call, &request.input.bucket)?;
        let constraint = Some(bucket.region).filter(|r| r != "us-east-1").map(BucketLocationConstraint::from);
        Ok(S3Response::new(GetBucketLocationOutput { location_constraint: constraint }))
    }

    /// Stores a configuration that came as XML.
    pub(super) async fn put_setting<T: Default>(
        &self,
        x: &Arc<Exchange>,
        (bucket, owner): (&str, Option<&String>),
        setting: Setting,
        value: &impl serde::Serialize,
    ) -> Answered<T> {
        check_owner(x, owner)?;
        let id = if setting == Setting::Notification { "Id" } else { "ID" };
        self.buckets.put_setting(&x.call, bucket, setting, &to_json(value, id)?).await?;
        Ok(S3Response::new(T::default()))
    }

    pub(super) async fn delete_setting<T: Default>(
        &self,
        x: &Arc<Exchange>,
        (bucket, owner): (&str, Option<&String>),
        setting: Setting,
    ) -> Answered<T> {
        check_owner(x, owner)?;
        self.buckets.delete_setting(&x.call, bucket, setting).await?;
        Ok(S3Response::new(T::default()))
    }

    /// A configuration as the type that is written as XML.
    pub(super) fn setting<T: DeserializeOwned>(
        &self,
        x: &Arc<Exchange>,
        (bucket, owner): (&str, Option<&String>),
        setting: Setting,
    ) -> Result<T, Fault> {
        from_json(&self.setting_json(x, (bucket, owner), setting)?)
    }

    pub(super) fn setting_json(
        &self,
        x: &Arc<Exchange>,
        (bucket, owner): (&str, Option<&String>),
        setting: Setting,
    ) -> Result<Value, Fault> {
        check_owner(x, owner)?;
        self.buckets.setting(&x.call, bucket, setting)
    }

    pub(super) async fn put_lifecycle(
        &self,
        x: &Arc<Exchange>,
        request: S3Request<PutBucketLifecycleConfigurationInput>,
    ) -> Answered<PutBucketLifecycleConfigurationOutput> {
        let input = request.input;
        check_owner(x, input.expected_bucket_owner.as_ref())?;
        let configuration = input.lifecycle_configuration.ok_or_else(crate::fault::malformed_xml)?;
        let mut json = to_json(&configuration, "ID")?;
        if let Some(size) = &input.transition_default_minimum_object_size {
            json["TransitionDefaultMinimumObjectSize"] = size.as_str().into();
        }
        self.buckets.put_setting(&x.call, &input.bucket, Setting::Lifecycle, &json).await?;
        Ok(S3Response::new(PutBucketLifecycleConfigurationOutput {
            transition_default_minimum_object_size: input.transition_default_minimum_object_size,
        }))
    }

    pub(super) fn lifecycle(
        &self,
        x: &Arc<Exchange>,
        request: S3Request<GetBucketLifecycleConfigurationInput>,
    ) -> Answered<GetBucketLifecycleConfigurationOutput> {
        let input = request.input;
        let of = (input.bucket.as_str(), input.expected_bucket_owner.as_ref());
        let json = self.setting_json(x, of, Setting::Lifecycle)?;
        let size = json["TransitionDefaultMinimumObjectSize"].as_str().unwrap_or("all_storage_classes_128K");
        let size = TransitionDefaultMinimumObjectSize::from(size.to_owned());
        let configuration: BucketLifecycleConfiguration = from_json(&json)?;
        Ok(S3Response::new(GetBucketLifecycleConfigurationOutput {
            rules: Some(configuration.rules),
            transition_default_minimum_object_size: Some(size),
        }))
    }

    pub(super) async fn put_policy(
        &self,
        x: &Arc<Exchange>,
        request: S3Request<PutBucketPolicyInput>,
    ) -> Answered<PutBucketPolicyOutput> {
        let input = request.input;
        check_owner(x, input.expected_bucket_owner.as_ref())?;
        let policy = Value::String(input.policy);
        self.buckets.put_setting(&x.call, &input.bucket, Setting::Policy, &policy).await?;
        Ok(S3Response::new(PutBucketPolicyOutput::default()))
    }

    pub(super) fn policy_status(
        &self,
        x: &Arc<Exchange>,
        request: S3Request<GetBucketPolicyStatusInput>,
    ) -> Answered<GetBucketPolicyStatusOutput> {
        let of = (request.input.bucket.as_str(), request.input.expected_bucket_owner.as_ref());
        self.setting_json(x, of, Setting::Policy)?;
        // Nobody is let in by a policy here.
        let status = PolicyStatus { is_public: Some(false) };
        Ok(S3Response::new(GetBucketPolicyStatusOutput { policy_status: Some(status) }))
    }

    pub(super) async fn put_versioning(
        &self,
        x: &Arc<Exchange>,
        request: S3Request<PutBucketVersioningInput>,
    ) -> Answered<PutBucketVersioningOutput> {
        let input = request.input;
        check_owner(x, input.expected_bucket_owner.as_ref())?;
        let configuration = input.versioning_configuration;
        if configuration.mfa_delete.as_ref().is_some_and(|m| m.as_str() == MFADelete::ENABLED) {
            return Err(not_implemented("MFA delete"));
        }
        let status = configuration.status.as_ref().map(BucketVersioningStatus::as_str);
        self.buckets.put_versioning(&x.call, &input.bucket, status).await?;
        Ok(S3Response::new(PutBucketVersioningOutput::default()))
    }

    pub(super) fn versioning(
        &self,
        x: &Arc<Exchange>,
        request: S3Request<GetBucketVersioningInput>,
    ) -> Answered<GetBucketVersioningOutput> {
        check_owner(x, request.input.expected_bucket_owner.as_ref())?;
        let status = match self.buckets.bucket(&x.call, &request.input.bucket)?.versioning {
            Versioning::Off => None,
            Versioning::Enabled => Some(BucketVersioningStatus::from_static(BucketVersioningStatus::ENABLED)),
            Versioning::Suspended => Some(BucketVersioningStatus::from_static(BucketVersioningStatus::SUSPENDED)),
        };
        Ok(S3Response::new(GetBucketVersioningOutput { status, ..GetBucketVersioningOutput::default() }))
    }

    fn grants(x: &Exchange) -> Option<Vec<Grant>> {
        let grantee = Grantee {
            id: Some(canonical_user(x.call.scope.account())),
            display_name: None,
            email_address: None,
            uri: None,
            type_: Type::from_static(Type::CANONICAL_USER),
        };
        let permission = Some(Permission::from_static(Permission::FULL_CONTROL));
        Some(vec![Grant { grantee: Some(grantee), permission }])
    }

    pub(super) fn acl(&self, x: &Arc<Exchange>, request: S3Request<GetBucketAclInput>) -> Answered<GetBucketAclOutput> {
        check_owner(x, request.input.expected_bucket_owner.as_ref())?;
        self.buckets.bucket(&x.call, &request.input.bucket)?;
        let owner = owner(x.call.scope.account());
        Ok(S3Response::new(GetBucketAclOutput { grants: Api::grants(x), owner }))
    }

    pub(super) fn object_acl(
        &self,
        x: &Arc<Exchange>,
        request: S3Request<GetObjectAclInput>,
    ) -> Answered<GetObjectAclOutput> {
        let input = request.input;
        check_owner(x, input.expected_bucket_owner.as_ref())?;
        let version = version(input.version_id.as_deref())?;
        let get = Get { bucket: input.bucket, key: input.key, version, ..Get::default() };
        self.buckets.head_object(&x.call, &get)?;
        let owner = owner(x.call.scope.account());
        Ok(S3Response::new(GetObjectAclOutput { grants: Api::grants(x), owner, request_charged: None }))
    }

    /// Whether an ACL says no more than that the owner may do everything.
    fn is_owners(x: &Exchange, policy: Option<&AccessControlPolicy>) -> bool {
        let Some(policy) = policy else { return true };
        let user = canonical_user(x.call.scope.account());
        policy.grants.iter().flatten().all(|grant| {
            grant.grantee.as_ref().is_some_and(|g| g.id.as_ref() == Some(&user))
                && grant.permission.as_ref().is_some_and(|p| p.as_str() == Permission::FULL_CONTROL)
        })
    }

    pub(super) fn put_acl(
        &self,
        x: &Arc<Exchange>,
        request: S3Request<PutBucketAclInput>,
    ) -> Answered<PutBucketAclOutput> {
        let input = request.input;
        check_owner(x, input.expected_bucket_owner.as_ref())?;
        self.buckets.bucket(&x.call, &input.bucket)?;
        let has_grants =
            input.grant_full_control.is_some() || input.grant_read.is_some() || input.grant_write.is_some();
        let is_plain = is_plain_acl(input.acl.as_ref().map(BucketCannedACL::as_str))
            && !has_grants
            && Api::is_owners(x, input.access_control_policy.as_ref());
        self.buckets.check_acl(&x.call, &input.bucket, is_plain)?;
        Ok(S3Response::new(PutBucketAclOutput::default()))
    }

    pub(super) fn put_object_acl(
        &self,
        x: &Arc<Exchange>,
        request: S3Request<PutObjectAclInput>,
    ) -> Answered<PutObjectAclOutput> {
        let input = request.input;
        check_owner(x, input.expected_bucket_owner.as_ref())?;
        let version = version(input.version_id.as_deref())?;
        let get = Get { bucket: input.bucket.clone(), key: input.key, version, ..Get::default() };
        self.buckets.head_object(&x.call, &get)?;
        let has_grants = input.grant_full_control.is_some() || input.grant_read.is_some();
        let is_plain = is_plain_acl(input.acl.as_ref().map(ObjectCannedACL::as_str))
            && !has_grants
            && Api::is_owners(x, input.access_control_policy.as_ref());
        self.buckets.check_acl(&x.call, &input.bucket, is_plain)?;
        Ok(S3Response::new(PutObjectAclOutput::default()))
    }

    pub(super) async fn put_bucket_tags(
        &self,
        x: &Arc<Exchange>,
        request: S3Request<PutBucketTaggingInput>,
    ) -> Answered<PutBucketTaggingOutput> {
        let input = request.input;
        check_owner(x, input.expected_bucket_owner.as_ref())?;
        let tags = tags_of(input.tagging.tag_set)?;
        let json = json!({"TagSet": crate::settings::tag_set(&tags)});
        self.buckets.put_setting(&x.call, &input.bucket, Setting::Tagging, &json).await?;
        Ok(S3Response::new(PutBucketTaggingOutput::default()))
    }

    pub(super) fn bucket_tags(
        &self,
        x: &Arc<Exchange>,
        request: S3Request<GetBucketTaggingInput>,
    ) -> Answered<GetBucketTaggingOutput> {
        let of = (request.input.bucket.as_str(), request.input.expected_bucket_owner.as_ref());
        let json = self.setting_json(x, of, Setting::Tagging)?;
        let tags = crate::settings::tags_of(&json["TagSet"])?;
        Ok(S3Response::new(GetBucketTaggingOutput { tag_set: tag_set(&tags) }))
    }

    pub(super) async fn put_object_tags(
        &self,
        x: &Arc<Exchange>,
        request: S3Request<PutObjectTaggingInput>,
    ) -> Answered<PutObjectTaggingOutput> {
        let input = request.input;
        check_owner(x, input.expected_bucket_owner.as_ref())?;
        let (tags, version) = (tags_of(input.tagging.tag_set)?, version(input.version_id.as_deref())?);
        let told = self.buckets.put_tags(&x.call, &input.bucket, &input.key, version, tags).await?;
        Ok(S3Response::new(PutObjectTaggingOutput { version_id: told.map(|v| v.to_string()) }))
    }

    pub(super) async fn delete_object_tags(
        &self,
        x: &Arc<Exchange>,
        request: S3Request<DeleteObjectTaggingInput>,
    ) -> Answered<DeleteObjectTaggingOutput> {
        let input = request.input;
        check_owner(x, input.expected_bucket_owner.as_ref())?;
        let version = version(input.version_id.as_deref())?;
        let told =
            self.buckets.put_tags(&x.call, &input.bucket, &input.key, version, crate::record::Tags::new()).await?;
        Ok(S3Response::new(DeleteObjectTaggingOutput { version_id: told.map(|v| v.to_string()) }))
    }

    pub(super) fn object_tags(
        &self,
        x: &Arc<Exchange>,
        request: S3Request<GetObjectTaggingInput>,
    ) -> Answered<GetObjectTaggingOutput> {
        let input = request.input;
        check_owner(x, input.expected_bucket_owner.as_ref())?;
        let version = version(input.version_id.as_deref())?;
        let get = Get { bucket: input.bucket, key: input.key, version, ..Get::default() };
        let headers = self.buckets.head_object(&x.call, &get)?;
        let version_id = headers.version.map(|v| v.to_string());
        Ok(S3Response::new(GetObjectTaggingOutput { tag_set: tag_set(&headers.body.tags), version_id }))
    }
}
