//! The policies of AWS's own that pipelines attach most. Others may be attached too, but allow nothing here.

use serde_json::json;

/// Path and name; actions that they allow on every resource.
const POLICIES: &[(&str, &[&str])] = &[
    ("AdministratorAccess", &["*"]),
    ("AmazonDynamoDBFullAccess", &["dynamodb:*"]),
    (
        "AmazonDynamoDBReadOnlyAccess",
        &[
            "dynamodb:BatchGetItem",
            "dynamodb:Describe*",
            "dynamodb:Get*",
            "dynamodb:List*",
            "dynamodb:PartiQLSelect",
            "dynamodb:Query",
            "dynamodb:Scan",
        ],
    ),
    ("AmazonEventBridgeFullAccess", &["events:*", "pipes:*", "scheduler:*", "schemas:*"]),
    ("AmazonKinesisFullAccess", &["kinesis:*"]),
    ("AmazonKinesisReadOnlyAccess", &["kinesis:Describe*", "kinesis:Get*", "kinesis:List*"]),
    (
        "AmazonRDSDataFullAccess",
        &[
            "rds-data:BatchExecuteStatement",
            "rds-data:BeginTransaction",
            "rds-data:CommitTransaction",
            "rds-data:ExecuteStatement",
            "rds-data:RollbackTransaction",
            "secretsmanager:CreateSecret",
            "secretsmanager:GetRandomPassword",
            "secretsmanager:GetSecretValue",
            "secretsmanager:ListSecrets",
            "secretsmanager:PutSecretValue",
        ],
    ),
    ("AmazonS3FullAccess", &["s3:*", "s3-object-lambda:*"]),
    ("AmazonS3ReadOnlyAccess", &["s3:Describe*", "s3:Get*", "s3:List*"]),
    ("AmazonSNSFullAccess", &["sns:*"]),
    ("AmazonSQSFullAccess", &["sqs:*"]),
    (
        "AmazonSQSReadOnlyAccess",
        &[
            "sqs:GetQueueAttributes",
            "sqs:GetQueueUrl",
            "sqs:ListDeadLetterSourceQueues",
            "sqs:ListMessageMoveTasks",
            "sqs:ListQueues",
        ],
    ),
    ("AmazonSSMReadOnlyAccess", &["ssm:Describe*", "ssm:Get*", "ssm:List*"]),
    (
        "AWSLambda_FullAccess",
        &[
            "iam:GetPolicy",
            "iam:GetPolicyVersion",
            "iam:GetRole",
            "iam:GetRolePolicy",
            "iam:ListAttachedRolePolicies",
            "iam:ListRolePolicies",
            "iam:ListRoles",
            "iam:PassRole",
            "lambda:*",
            "logs:DescribeLogGroups",
            "logs:DescribeLogStreams",
            "logs:FilterLogEvents",
            "logs:GetLogEvents",
            "states:DescribeStateMachine",
            "states:ListStateMachines",
        ],
    ),
    ("AWSLambdaExecute", &["logs:*", "s3:GetObject", "s3:PutObject"]),
    ("AWSStepFunctionsFullAccess", &["states:*"]),
    ("CloudWatchFullAccess", &["cloudwatch:*", "logs:*"]),
    ("CloudWatchLogsFullAccess", &["logs:*"]),
    ("PowerUserAccess", &["*"]),
    ("ReadOnlyAccess", &["*:Describe*", "*:Get*", "*:List*"]),
    ("SecretsManagerReadWrite", &["secretsmanager:*"]),
    ("service-role/AWSLambdaBasicExecutionRole", &["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"]),
    (
        "service-role/AWSLambdaDynamoDBExecutionRole",
        &[
            "dynamodb:DescribeStream",
            "dynamodb:GetRecords",
            "dynamodb:GetShardIterator",
            "dynamodb:ListStreams",
            "logs:CreateLogGroup",
            "logs:CreateLogStream",
            "logs:PutLogEvents",
        ],
    ),
    (
        "service-role/AWSLambdaKinesisExecutionRole",
        &[
            "kinesis:DescribeStream",
            "kinesis:DescribeStreamSummary",
            "kinesis:GetRecords",
            "kinesis:GetShardIterator",
            "kinesis:ListShards",
            "kinesis:ListStreams",
            "kinesis:SubscribeToShard",
            "logs:CreateLogGroup",
            "logs:CreateLogStream",
            "logs:PutLogEvents",
        ],
    ),
    ("service-role/AWSLambdaRole", &["lambda:InvokeFunction"]),
    (
        "service-role/AWSLambdaSQSQueueExecutionRole",
        &[
            "sqs:DeleteMessage",
            "sqs:GetQueueAttributes",
            "sqs:ReceiveMessage",
            "logs:CreateLogGroup",
            "logs:CreateLogStream",
            "logs:PutLogEvents",
        ],
    ),
    (
        "service-role/AWSLambdaVPCAccessExecutionRole",
        &[
            "logs:CreateLogGroup",
            "logs:CreateLogStream",
            "logs:PutLogEvents",
            "ec2:CreateNetworkInterface",
            "ec2:DescribeNetworkInterfaces",
            "ec2:DescribeSubnets",
            "ec2:DeleteNetworkInterface",
            "ec2:AssignPrivateIpAddresses",
            "ec2:UnassignPrivateIpAddresses",
        ],
    ),
    (
        "AWSXRayDaemonWriteAccess",
        &[
            "xray:PutTraceSegments",
            "xray:PutTelemetryRecords",
            "xray:GetSamplingRules",
            "xray:GetSamplingTargets",
            "xray:GetSamplingStatisticSummaries",
        ],
    ),
];

const PREFIX: &str = "arn:aws:iam::aws:policy/";

pub(super) fn is_aws(arn: &str) -> bool {
    arn.strip_prefix(PREFIX).is_some_and(|name| !name.is_empty() && !name.ends_with('/'))
}

pub(super) fn arns() -> impl Iterator<Item = String> {
    POLICIES.iter().map(|(name, _)| format!("{PREFIX}{name}"))
}

pub(super) fn document(arn: &str) -> Option<String> {
    let name = arn.strip_prefix(PREFIX)?;
    let (_, actions) = POLICIES.iter().find(|(known, _)| *known == name)?;
    let mut statements = vec![json!({ "Effect": "Allow", "Action": actions, "Resource": "*" })];
    if name == "PowerUserAccess" {
        statements[0] =
            json!({ "Effect": "Allow", "NotAction": ["iam:*", "organizations:*", "account:*"], "Resource": "*" });
    }
    Some(json!({ "Version": "2012-10-17", "Statement": statements }).to_string())
}
