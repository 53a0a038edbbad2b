//! s3s's trait: each operation finds its exchange and hands over.

use s3s::dto::*;
use s3s::{S3, S3Request, S3Response, S3Result};
use serde_json::Value;
use service::Fault;

use super::exchange::Exchange;
use crate::Buckets;
use crate::settings::Setting;

/// The operations as s3s calls them.
pub(super) struct Api {
    pub(super) buckets: Buckets,
}

/// Whose answer says that the bucket does not have it: nobody can give it one here.
fn never<T>(code: &str, message: &str) -> Result<S3Response<T>, Fault> {
    Err(Fault::with_status(404, code, message))
}

#[async_trait::async_trait]
impl S3 for Api {
    async fn get_object(&self, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let x = Exchange::of(&request)?;
        x.answer(self.get(&x, request).await)
    }

    async fn head_object(&self, request: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        let x = Exchange::of(&request)?;
        x.answer(self.head(&x, request).await)
    }

    async fn put_object(&self, request: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let x = Exchange::of(&request)?;
        x.answer(self.put(&x, request).await)
    }

    async fn copy_object(&self, request: S3Request<CopyObjectInput>) -> S3Result<S3Response<CopyObjectOutput>> {
        let x = Exchange::of(&request)?;
        x.answer(self.copy(&x, request).await)
    }

    async fn delete_object(&self, request: S3Request<DeleteObjectInput>) -> S3Result<S3Response<DeleteObjectOutput>> {
        let x = Exchange::of(&request)?;
        x.answer(self.delete(&x, request).await)
    }

    async fn delete_objects(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let x = Exchange::of(&request)?;
        x.answer(self.delete_many(&x, request).await)
    }

    async fn get_object_attributes(
        &self,
        request: S3Request<GetObjectAttributesInput>,
    ) -> S3Result<S3Response<GetObjectAttributesOutput>> {
        let x = Exchange::of(&request)?;
        x.answer(self.attributes(&x, request).await)
    }

    async fn create_multipart_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        let x = Exchange::of(&request)?;
        x.answer(self.create_upload(&x, request).await)
    }

    async fn upload_part(&self, request: S3Request<UploadPartInput>) -> S3Result<S3Response<UploadPartOutput>> {
        let x = Exchange::of(&request)?;
        x.answer(self.upload_part(&x, request).await)
    }

    async fn upload_part_copy(
        &self,
        request: S3Request<UploadPartCopyInput>,
    ) -> S3Result<S3Response<UploadPartCopyOutput>> {
        let x = Exchange::of(&request)?;
        x.answer(self.copy_part(&x, request).await)
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let x = Exchange::of(&request)?;
        x.answer(self.complete_upload(&x, request).await)
    }

    async fn abort_multipart_upload(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        let x = Exchange::of(&request)?;
        x.answer(self.abort_upload(&x, request).await)
    }

    async fn list_parts(&self, request: S3Request<ListPartsInput>) -> S3Result<S3Response<ListPartsOutput>> {
        let x = Exchange::of(&request)?;
        x.answer(self.parts(&x, request).await)
    }

    async fn list_multipart_uploads(
        &self,
        request: S3Request<ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        let x = Exchange::of(&request)?;
        x.answer(self.list_uploads(&x, request).await)
    }

    async fn list_objects(&self, request: S3Request<ListObjectsInput>) -> S3Result<S3Response<ListObjectsOutput>> {
        let x = Exchange::of(&request)?;
        x.answer(self.list_v1(&x, request).await)
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let x = Exchange::of(&request)?;
        x.answer(self.list_v2(&x, request).await)
    }

    async fn list_object_versions(
        &self,
        request: S3Request<ListObjectVersionsInput>,
    ) -> S3Result<S3Response<ListObjectVersionsOutput>> {
        let x = Exchange::of(&request)?;
        x.answer(self.list_versions(&x, request).await)
    }

    async fn list_buckets(&self, request: S3Request<ListBucketsInput>) -> S3Result<S3Response<ListBucketsOutput>> {
        let x = Exchange::of(&request)?;
        x.answer(self.list_all(&x, request).await)
    }

    async fn create_bucket(&self, request: S3Request<CreateBucketInput>) -> S3Result<S3Response<CreateBucketOutput>> {
        let x = Exchange::of(&request)?;
        x.answer(self.create(&x, request).await)
    }

    async fn put_bucket_lifecycle_configuration(
        &self,
        request: S3Request<PutBucketLifecycleConfigurationInput>,
    ) -> S3Result<S3Response<PutBucketLifecycleConfigurationOutput>> {
        let x = Exchange::of(&request)?;
        x.answer(self.put_lifecycle(&x, request).await)
    }

    async fn put_bucket_policy(
        &self,
        request: S3Request<PutBucketPolicyInput>,
    ) -> S3Result<S3Response<PutBucketPolicyOutput>> {
        let x = Exchange::of(&request)?;
        x.answer(self.put_policy(&x, request).await)
    }

    async fn put_bucket_versioning(
        &self,
        request: S3Request<PutBucketVersioningInput>,
    ) -> S3Result<S3Response<PutBucketVersioningOutput>> {
        let x = Exchange::of(&request)?;
        x.answer(self.put_versioning(&x, request).await)
    }

    async fn put_bucket_tagging(
        &self,
        request: S3Request<PutBucketTaggingInput>,
    ) -> S3Result<S3Response<PutBucketTaggingOutput>> {
        let x = Exchange::of(&request)?;
        x.answer(self.put_bucket_tags(&x, request).await)
    }

    async fn put_object_tagging(
        &self,
        request: S3Request<PutObjectTaggingInput>,
    ) -> S3Result<S3Response<PutObjectTaggingOutput>> {
        let x = Exchange::of(&request)?;
        x.answer(self.put_object_tags(&x, request).await)
    }

    async fn delete_object_tagging(
        &self,
        request: S3Request<DeleteObjectTaggingInput>,
    ) -> S3Result<S3Response<DeleteObjectTaggingOutput>> {
        let x = Exchange::of(&request)?;
        x.answer(self.delete_object_tags(&x, request).await)
    }

    async fn head_bucket(&self, request: S3Request<HeadBucketInput>) -> S3Result<S3Response<HeadBucketOutput>> {
        let x = Exchange::of(&request)?;
        x.answer(self.head_bucket(&x, request))
    }

    async fn get_bucket_location(
        &self,
        request: S3Request<GetBucketLocationInput>,
    ) -> S3Result<S3Response<GetBucketLocationOutput>> {
        let x = Exchange::of(&request)?;
        x.answer(self.location(&x, request))
    }

    async fn get_bucket_lifecycle_configuration(
        &self,
        request: S3Request<GetBucketLifecycleConfigurationInput>,
    ) -> S3Result<S3Response<GetBucketLifecycleConfigurationOutput>> {
        let x = Exchange::of(&request)?;
        x.answer(self.lifecycle(&x, request))
    }

    async fn get_bucket_policy_status(
        &self,
        request: S3Request<GetBucketPolicyStatusInput>,
    ) -> S3Result<S3Response<GetBucketPolicyStatusOutput>> {
        let x = Exchange::of(&request)?;
        x.answer(self.policy_status(&x, request))
    }

    async fn get_bucket_versioning(
        &self,
        request: S3Request<GetBucketVersioningInput>,
    ) -> S3Result<S3Response<GetBucketVersioningOutput>> {
        let x = Exchange::of(&request)?;
        x.answer(self.versioning(&x, request))
    }

    async fn get_bucket_acl(&self, request: S3Request<GetBucketAclInput>) -> S3Result<S3Response<GetBucketAclOutput>> {
        let x = Exchange::of(&request)?;
        x.answer(self.acl(&x, request))
    }

    async fn get_object_acl(&self, request: S3Request<GetObjectAclInput>) -> S3Result<S3Response<GetObjectAclOutput>> {
        let x = Exchange::of(&request)?;
        x.answer(self.object_acl(&x, request))
    }

    async fn put_bucket_acl(&self, request: S3Request<PutBucketAclInput>) -> S3Result<S3Response<PutBucketAclOutput>> {
        let x = Exchange::of(&request)?;
        x.answer(self.put_acl(&x, request))
    }

    async fn put_object_acl(&self, request: S3Request<PutObjectAclInput>) -> S3Result<S3Response<PutObjectAclOutput>> {
        let x = Exchange::of(&request)?;
        x.answer(self.put_object_acl(&x, request))
    }

    async fn get_bucket_tagging(
        &self,
        request: S3Request<GetBucketTaggingInput>,
    ) -> S3Result<S3Response<GetBucketTaggingOutput>> {
        let x = Exchange::of(&request)?;
        x.answer(self.bucket_tags(&x, request))
    }

    async fn get_object_tagging(
        &self,
        request: S3Request<GetObjectTaggingInput>,
    ) -> S3Result<S3Response<GetObjectTaggingOutput>> {
        let x = Exchange::of(&request)?;
        x.answer(self.object_tags(&x, request))
    }

    async fn delete_bucket(&self, request: S3Request<DeleteBucketInput>) -> S3Result<S3Response<DeleteBucketOutput>> {
        let x = Exchange::of(&request)?;
        let input = request.input;
        let checked = super::convert::check_owner(&x, input.expected_bucket_owner.as_ref());
        x.answer(
            match checked {
                Ok(()) => self.buckets.delete_bucket(&x.call, &input.bucket).await,
                Err(fault) => Err(fault),
            }
            .map(|()| S3Response::new(DeleteBucketOutput::default())),
        )
    }

    async fn put_bucket_encryption(
        &self,
        request: S3Request<PutBucketEncryptionInput>,
    ) -> S3Result<S3Response<PutBucketEncryptionOutput>> {
        let (x, input) = (Exchange::of(&request)?, request.input);
        let of = (input.bucket.as_str(), input.expected_bucket_owner.as_ref());
        x.answer(self.put_setting(&x, of, Setting::Encryption, &input.server_side_encryption_configuration).await)
    }

    async fn put_public_access_block(
        &self,
        request: S3Request<PutPublicAccessBlockInput>,
    ) -> S3Result<S3Response<PutPublicAccessBlockOutput>> {
        let (x, input) = (Exchange::of(&request)?, request.input);
        let of = (input.bucket.as_str(), input.expected_bucket_owner.as_ref());
        x.answer(self.put_setting(&x, of, Setting::PublicAccessBlock, &input.public_access_block_configuration).await)
    }

    async fn put_bucket_notification_configuration(
        &self,
        request: S3Request<PutBucketNotificationConfigurationInput>,
    ) -> S3Result<S3Response<PutBucketNotificationConfigurationOutput>> {
        let (x, input) = (Exchange::of(&request)?, request.input);
        let of = (input.bucket.as_str(), input.expected_bucket_owner.as_ref());
        x.answer(self.put_setting(&x, of, Setting::Notification, &input.notification_configuration).await)
    }

    async fn put_bucket_cors(
        &self,
        request: S3Request<PutBucketCorsInput>,
    ) -> S3Result<S3Response<PutBucketCorsOutput>> {
        let (x, input) = (Exchange::of(&request)?, request.input);
        let of = (input.bucket.as_str(), input.expected_bucket_owner.as_ref());
        x.answer(self.put_setting(&x, of, Setting::Cors, &input.cors_configuration).await)
    }

    async fn put_bucket_ownership_controls(
        &self,
        request: S3Request<PutBucketOwnershipControlsInput>,
    ) -> S3Result<S3Response<PutBucketOwnershipControlsOutput>> {
        let (x, input) = (Exchange::of(&request)?, request.input);
        let of = (input.bucket.as_str(), input.expected_bucket_owner.as_ref());
        let rules = input.ownership_controls.rules.iter();
        let rules: Vec<Value> =
            rules.map(|rule| serde_json::json!({"object_ownership": rule.object_ownership.as_str()})).collect();
        let controls = serde_json::json!({ "rules": rules });
        x.answer(self.put_setting(&x, of, Setting::OwnershipControls, &controls).await)
    }

    async fn delete_bucket_encryption(
        &self,
        request: S3Request<DeleteBucketEncryptionInput>,
    ) -> S3Result<S3Response<DeleteBucketEncryptionOutput>> {
        let (x, input) = (Exchange::of(&request)?, request.input);
        let of = (input.bucket.as_str(), input.expected_bucket_owner.as_ref());
        x.answer(self.delete_setting(&x, of, Setting::Encryption).await)
    }

    async fn delete_public_access_block(
        &self,
        request: S3Request<DeletePublicAccessBlockInput>,
    ) -> S3Result<S3Response<DeletePublicAccessBlockOutput>> {
        let (x, input) = (Exchange::of(&request)?, request.input);
        let of = (input.bucket.as_str(), input.expected_bucket_owner.as_ref());
        x.answer(self.delete_setting(&x, of, Setting::PublicAccessBlock).await)
    }

    async fn delete_bucket_cors(
        &self,
        request: S3Request<DeleteBucketCorsInput>,
    ) -> S3Result<S3Response<DeleteBucketCorsOutput>> {
        let (x, input) = (Exchange::of(&request)?, request.input);
        let of = (input.bucket.as_str(), input.expected_bucket_owner.as_ref());
        x.answer(self.delete_setting(&x, of, Setting::Cors).await)
    }

    async fn delete_bucket_lifecycle(
        &self,
        request: S3Request<DeleteBucketLifecycleInput>,
    ) -> S3Result<S3Response<DeleteBucketLifecycleOutput>> {
        let (x, input) = (Exchange::of(&request)?, request.input);
        let of = (input.bucket.as_str(), input.expected_bucket_owner.as_ref());
        x.answer(self.delete_setting(&x, of, Setting::Lifecycle).await)
    }

    async fn delete_bucket_policy(
        &self,
        request: S3Request<DeleteBucketPolicyInput>,
    ) -> S3Result<S3Response<DeleteBucketPolicyOutput>> {
        let (x, input) = (Exchange::of(&request)?, request.input);
        let of = (input.bucket.as_str(), input.expected_bucket_owner.as_ref());
        x.answer(self.delete_setting(&x, of, Setting::Policy).await)
    }

    async fn delete_bucket_tagging(
        &self,
        request: S3Request<DeleteBucketTaggingInput>,
    ) -> S3Result<S3Response<DeleteBucketTaggingOutput>> {
        let (x, input) = (Exchange::of(&request)?, request.input);
        let of = (input.bucket.as_str(), input.expected_bucket_owner.as_ref());
        x.answer(self.delete_setting(&x, of, Setting::Tagging).await)
    }

    async fn delete_bucket_ownership_controls(
        &self,
        request: S3Request<DeleteBucketOwnershipControlsInput>,
    ) -> S3Result<S3Response<DeleteBucketOwnershipControlsOutput>> {
        let (x, input) = (Exchange::of(&request)?, request.input);
        let of = (input.bucket.as_str(), input.expected_bucket_owner.as_ref());
        x.answer(self.delete_setting(&x, of, Setting::OwnershipControls).await)
    }

    async fn get_bucket_encryption(
        &self,
        request: S3Request<GetBucketEncryptionInput>,
    ) -> S3Result<S3Response<GetBucketEncryptionOutput>> {
        let (x, input) = (Exchange::of(&request)?, request.input);
        let of = (input.bucket.as_str(), input.expected_bucket_owner.as_ref());
        let setting = self
            .setting(&x, of, Setting::Encryption)
            .map(|c| GetBucketEncryptionOutput { server_side_encryption_configuration: Some(c) });
        x.answer(setting.map(S3Response::new))
    }

    async fn get_public_access_block(
        &self,
        request: S3Request<GetPublicAccessBlockInput>,
    ) -> S3Result<S3Response<GetPublicAccessBlockOutput>> {
        let (x, input) = (Exchange::of(&request)?, request.input);
        let of = (input.bucket.as_str(), input.expected_bucket_owner.as_ref());
        let setting = self
            .setting(&x, of, Setting::PublicAccessBlock)
            .map(|c| GetPublicAccessBlockOutput { public_access_block_configuration: Some(c) });
        x.answer(setting.map(S3Response::new))
    }

    async fn get_bucket_cors(
        &self,
        request: S3Request<GetBucketCorsInput>,
    ) -> S3Result<S3Response<GetBucketCorsOutput>> {
        let (x, input) = (Exchange::of(&request)?, request.input);
        let of = (input.bucket.as_str(), input.expected_bucket_owner.as_ref());
        let setting = self
            .setting(&x, of, Setting::Cors)
            .map(|c: CORSConfiguration| GetBucketCorsOutput { cors_rules: Some(c.cors_rules) });
        x.answer(setting.map(S3Response::new))
    }

    async fn get_bucket_notification_configuration(
        &self,
        request: S3Request<GetBucketNotificationConfigurationInput>,
    ) -> S3Result<S3Response<GetBucketNotificationConfigurationOutput>> {
        let (x, input) = (Exchange::of(&request)?, request.input);
        let of = (input.bucket.as_str(), input.expected_bucket_owner.as_ref());
        let setting = self.setting(&x, of, Setting::Notification).map(|c: NotificationConfiguration| {
            GetBucketNotificationConfigurationOutput {
                event_bridge_configuration: c.event_bridge_configuration,
                lambda_function_configurations: c.lambda_function_configurations,
                queue_configurations: c.queue_configurations,
                topic_configurations: c.topic_configurations,
            }
        });
        x.answer(setting.map(S3Response::new))
    }

    async fn get_bucket_ownership_controls(
        &self,
        request: S3Request<GetBucketOwnershipControlsInput>,
    ) -> S3Result<S3Response<GetBucketOwnershipControlsOutput>> {
        let (x, input) = (Exchange::of(&request)?, request.input);
        let of = (input.bucket.as_str(), input.expected_bucket_owner.as_ref());
        let setting = self.setting_json(&x, of, Setting::OwnershipControls).map(|json| {
            let kind = json["Rules"][0]["ObjectOwnership"].as_str().unwrap_or_default().to_owned();
            let rules = vec![OwnershipControlsRule { object_ownership: ObjectOwnership::from(kind) }];
            GetBucketOwnershipControlsOutput { ownership_controls: Some(OwnershipControls { rules }) }
        });
        x.answer(setting.map(S3Response::new))
    }

    async fn get_bucket_policy(
        &self,
        request: S3Request<GetBucketPolicyInput>,
    ) -> S3Result<S3Response<GetBucketPolicyOutput>> {
        let (x, input) = (Exchange::of(&request)?, request.input);
        let of = (input.bucket.as_str(), input.expected_bucket_owner.as_ref());
        let policy = self.setting_json(&x, of, Setting::Policy);
        let text = |json: Value| json.as_str().map(str::to_owned);
        x.answer(policy.map(|json| S3Response::new(GetBucketPolicyOutput { policy: text(json) })))
    }

    async fn get_bucket_website(
        &self,
        request: S3Request<GetBucketWebsiteInput>,
    ) -> S3Result<S3Response<GetBucketWebsiteOutput>> {
        let x = Exchange::of(&request)?;
        let found = self.buckets.bucket(&x.call, &request.input.bucket);
        x.answer(found.and_then(|_| {
            never("NoSuchWebsiteConfiguration", "The specified bucket does not have a website configuration")
        }))
    }

    async fn get_bucket_replication(
        &self,
        request: S3Request<GetBucketReplicationInput>,
    ) -> S3Result<S3Response<GetBucketReplicationOutput>> {
        let x = Exchange::of(&request)?;
        let found = self.buckets.bucket(&x.call, &request.input.bucket);
        x.answer(found.and_then(|_| {
            never("ReplicationConfigurationNotFoundError", "The replication configuration was not found")
        }))
    }

    async fn get_object_lock_configuration(
        &self,
        request: S3Request<GetObjectLockConfigurationInput>,
    ) -> S3Result<S3Response<GetObjectLockConfigurationOutput>> {
        let x = Exchange::of(&request)?;
        let found = self.buckets.bucket(&x.call, &request.input.bucket);
        x.answer(found.and_then(|_| {
            never("ObjectLockConfigurationNotFoundError", "Object Lock configuration does not exist for this bucket")
        }))
    }

    async fn get_bucket_accelerate_configuration(
        &self,
        request: S3Request<GetBucketAccelerateConfigurationInput>,
    ) -> S3Result<S3Response<GetBucketAccelerateConfigurationOutput>> {
        let x = Exchange::of(&request)?;
        let found = self.buckets.bucket(&x.call, &request.input.bucket);
        x.answer(found.map(|_| S3Response::new(GetBucketAccelerateConfigurationOutput::default())))
    }

    async fn get_bucket_logging(
        &self,
        request: S3Request<GetBucketLoggingInput>,
    ) -> S3Result<S3Response<GetBucketLoggingOutput>> {
        let x = Exchange::of(&request)?;
        let found = self.buckets.bucket(&x.call, &request.input.bucket);
        x.answer(found.map(|_| S3Response::new(GetBucketLoggingOutput::default())))
    }

    async fn get_bucket_request_payment(
        &self,
        request: S3Request<GetBucketRequestPaymentInput>,
    ) -> S3Result<S3Response<GetBucketRequestPaymentOutput>> {
        let x = Exchange::of(&request)?;
        let found = self.buckets.bucket(&x.call, &request.input.bucket);
        x.answer(found.map(|_| {
            S3Response::new(GetBucketRequestPaymentOutput { payer: Some(Payer::from_static(Payer::BUCKET_OWNER)) })
        }))
    }
}
