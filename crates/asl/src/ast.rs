use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::Value;

use crate::{Expression, Jsonata, Path, ReferencePath, Template};

/// A state's name: shared, cheap to clone.
pub type Name = Arc<str>;

/// A parsed, valid definition.
#[derive(Debug, Clone, PartialEq)]
pub struct StateMachine {
    pub comment: Option<String>,
    pub version: Option<String>,
    pub query_language: QueryLanguage,
    /// How long an execution may run.
    pub timeout_seconds: Option<u64>,
    /// The top-level states.
    pub body: Branch,
}

impl StateMachine {
    /// `variableReferences` of DescribeStateMachine: the states that read variables, nested ones too, and which.
    pub fn variable_references(&self) -> BTreeMap<&str, &BTreeSet<Name>> {
        let mut found = BTreeMap::new();
        self.body.variable_references(&mut found);
        found
    }
}

/// One scope of states: the machine's top level, a branch of a Parallel state, the processor of a Map state.
#[derive(Debug, Clone, PartialEq)]
pub struct Branch {
    pub comment: Option<String>,
    pub start_at: Name,
    /// In the order of the text.
    pub states: IndexMap<Name, State>,
}

impl Branch {
    /// The state of that name in this scope (not in nested ones).
    pub fn state(&self, name: &str) -> Option<&State> {
        self.states.get(name)
    }

    /// Recurses as deep as states nest, which the parser bounds.
    fn variable_references<'s>(&'s self, found: &mut BTreeMap<&'s str, &'s BTreeSet<Name>>) {
        for (name, state) in &self.states {
            if !state.variables_read.is_empty() {
                found.insert(name, &state.variables_read);
            }
            match &state.kind {
                StateKind::Parallel { branches } => {
                    branches.iter().for_each(|branch| branch.variable_references(found))
                }
                StateKind::Map(map) => map.processor.variable_references(found),
                _ => {}
            }
        }
    }

    /// The state that the scope starts with.
    pub fn start(&self) -> &State {
        &self.states[&self.start_at]
    }
}

/// The language of a state's expressions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum QueryLanguage {
    #[default]
    JsonPath,
    Jsonata,
}

/// One state: what all types share, and what is its own.
///
/// A field that a type does not have keeps its default: `parameters` is `None` on a Wait state, `retry` empty on a
/// Pass state, `transition` `None` on Choice, Succeed and Fail.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    pub name: Name,
    pub comment: Option<String>,
    pub query_language: QueryLanguage,
    pub input_path: Selection,
    pub output_path: Selection,
    /// `Parameters` of Pass, Task and Parallel, or their `Arguments` in JSONata. On a Map state it is `ItemSelector`, or
    /// the legacy `Parameters`.
    pub parameters: Option<Template>,
    pub result_selector: Option<Template>,
    pub result_path: ResultPath,
    /// `Assign`: an object of variables by name.
    pub assign: Option<Template>,
    /// `Output`, of JSONata alone.
    pub output: Option<Template>,
    pub retry: Vec<Retrier>,
    pub catch: Vec<Catcher>,
    pub transition: Option<Transition>,
    /// The workflow variables that its own fields read, by name.
    pub variables_read: BTreeSet<Name>,
    pub kind: StateKind,
}

/// What makes the eight state types differ.
#[derive(Debug, Clone, PartialEq)]
pub enum StateKind {
    Task(Box<Task>),
    Pass {
        /// `Result`: the state's virtual output.
        result: Option<Value>,
    },
    Choice(Choice),
    Wait(Wait),
    Succeed,
    Fail(Fail),
    Parallel {
        branches: Vec<Branch>,
    },
    Map(Box<Map>),
}

impl StateKind {
    /// The type's name as ASL and history events (`TaskStateEntered`) write it.
    pub fn type_name(&self) -> &'static str {
        match self {
            StateKind::Task(_) => "Task",
            StateKind::Pass { .. } => "Pass",
            StateKind::Choice(_) => "Choice",
            StateKind::Wait(_) => "Wait",
            StateKind::Succeed => "Succeed",
            StateKind::Fail(_) => "Fail",
            StateKind::Parallel { .. } => "Parallel",
            StateKind::Map(_) => "Map",
        }
    }
}

/// Where a state goes when it is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transition {
    Next(Name),
    End,
}

/// `InputPath` and `OutputPath`: a path, or `null` for "an empty object".
#[derive(Debug, Clone, PartialEq)]
pub enum Selection {
    /// JSON `null`: the state gets (or gives) `{}`.
    Discard,
    Path(Path),
}

impl Default for Selection {
    fn default() -> Self {
        Selection::Path(Path::whole_input())
    }
}

/// `ResultPath`: where the result goes in the raw input, or `null` for "drop it".
#[derive(Debug, Clone, PartialEq)]
pub enum ResultPath {
    /// JSON `null`: the raw input passes through.
    Discard,
    At(ReferencePath),
}

impl Default for ResultPath {
    fn default() -> Self {
        ResultPath::At(ReferencePath::whole_input())
    }
}

/// A Task state's own fields.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    pub resource: Resource,
    pub timeout: Option<Seconds>,
    pub heartbeat: Option<Seconds>,
    pub credentials: Option<Template>,
}

/// What a Task state calls: the ARN as written, and what it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    pub arn: String,
    pub kind: ResourceKind,
}

/// The kinds of resources that a Task state can name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResourceKind {
    /// `arn:aws:lambda:REGION:ACCOUNT:function:NAME[:QUALIFIER]`.
    Function,
    /// `arn:aws:states:REGION:ACCOUNT:activity:NAME`.
    Activity { name: String },
    /// `arn:aws:states:::SERVICE:ACTION[.PATTERN]`, an optimised integration or `aws-sdk`.
    Integration(Integration),
}

impl ResourceKind {
    /// Whether workers poll for it with GetActivityTask.
    pub fn is_activity(&self) -> bool {
        matches!(self, ResourceKind::Activity { .. })
    }
}

/// A service integration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Integration {
    /// `arn:aws:states:::aws-sdk:SERVICE:ACTION`.
    pub aws_sdk: bool,
    /// `lambda`, `sqs`, `dynamodb`, ...
    pub service: String,
    /// `invoke`, `sendMessage`, ... without the pattern's suffix.
    pub action: String,
    pub pattern: IntegrationPattern,
}

/// How a Task state waits for a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntegrationPattern {
    RequestResponse,
    /// `.sync`: the job has ended.
    Sync,
    /// `.sync:2`: the same, output parsed as JSON.
    Sync2,
    WaitForTaskToken,
}

impl IntegrationPattern {
    /// What the resource's ARN ends with.
    pub fn suffix(self) -> &'static str {
        match self {
            IntegrationPattern::RequestResponse => "",
            IntegrationPattern::Sync => ".sync",
            IntegrationPattern::Sync2 => ".sync:2",
            IntegrationPattern::WaitForTaskToken => ".waitForTaskToken",
        }
    }
}

/// A number of seconds, as written or read from the input when the state runs.
#[derive(Debug, Clone, PartialEq)]
pub enum Seconds {
    Literal(u64),
    Path(ReferencePath),
    Jsonata(Jsonata),
}

/// A count, as written or read from the input when the state runs.
#[derive(Debug, Clone, PartialEq)]
pub enum Count {
    Literal(u64),
    Path(ReferencePath),
    Jsonata(Jsonata),
}

/// A percentage from 0 to 100, as written or read from the input when the state runs.
#[derive(Debug, Clone, PartialEq)]
pub enum Percentage {
    Literal(f64),
    Path(ReferencePath),
    Jsonata(Jsonata),
}

/// What a Wait state waits for.
#[derive(Debug, Clone, PartialEq)]
pub enum Wait {
    Seconds(Seconds),
    /// An RFC 3339 time, checked when parsed.
    Timestamp(String),
    TimestampPath(ReferencePath),
    /// `Timestamp` in JSONata.
    TimestampJsonata(Jsonata),
}

/// A Fail state's own fields.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Fail {
    /// `Error` or `ErrorPath`.
    pub error: Option<TextSource>,
    /// `Cause` or `CausePath`.
    pub cause: Option<TextSource>,
}

/// A string, as written or computed from the input.
#[derive(Debug, Clone, PartialEq)]
pub enum TextSource {
    Literal(String),
    /// A reference path or an intrinsic function.
    Expression(Expression),
    Jsonata(Jsonata),
}

/// A Choice state's own fields.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// Never empty.
    pub rules: Vec<ChoiceRule>,
    pub default: Option<Name>,
}

/// One entry of `Choices`.
#[derive(Debug, Clone, PartialEq)]
pub struct ChoiceRule {
    pub comment: Option<String>,
    pub condition: Condition,
    pub assign: Option<Template>,
    /// Of JSONata alone.
    pub output: Option<Template>,
    pub next: Name,
}

/// A boolean expression over the input. Nesting is bounded by the parser.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    And(Vec<Condition>),
    Or(Vec<Condition>),
    Not(Box<Condition>),
    Test {
        variable: Path,
        operator: Operator,
    },
    /// `Condition`.
    Jsonata(Jsonata),
}

/// What a data-test expression asks of its variable.
#[derive(Debug, Clone, PartialEq)]
pub enum Operator {
    IsNull(bool),
    IsPresent(bool),
    IsNumeric(bool),
    IsString(bool),
    IsBoolean(bool),
    IsTimestamp(bool),
    /// `*` is any run of characters; `\*` and `\\` are the characters themselves.
    StringMatches(String),
    /// `StringEquals`, `NumericLessThanPath`, `TimestampGreaterThanEquals`, ...
    Compare {
        kind: DataKind,
        comparison: Comparison,
        operand: Operand,
    },
}

/// The type that a comparison works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataKind {
    String,
    Numeric,
    Boolean,
    Timestamp,
}

/// How a comparison orders its two sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    Equals,
    LessThan,
    LessThanEquals,
    GreaterThan,
    GreaterThanEquals,
}

/// The right side of a comparison.
#[derive(Debug, Clone, PartialEq)]
pub enum Operand {
    /// Of the comparison's type: string, number, boolean, or RFC 3339 text.
    Literal(Value),
    /// The `...Path` variants.
    Path(Path),
}

/// A Map state's own fields.
#[derive(Debug, Clone, PartialEq)]
pub struct Map {
    pub items: Items,
    pub processor: Branch,
    pub config: ProcessorConfig,
    /// `Label`, of DISTRIBUTED mode alone, like the next three.
    pub label: Option<String>,
    /// When it is there, `items` is not looked at.
    pub reader: Option<ItemReader>,
    pub batcher: Option<ItemBatcher>,
    pub writer: Option<ResultWriter>,
    /// Written as the deprecated `Iterator`.
    pub legacy_iterator: bool,
    /// 0: no limit.
    pub max_concurrency: Count,
    pub tolerated_failure_count: Option<Count>,
    pub tolerated_failure_percentage: Option<Percentage>,
}

/// What a Map state iterates over, if nothing is read for it.
#[derive(Debug, Clone, PartialEq)]
pub enum Items {
    /// `ItemsPath`; default `$`.
    Path(Path),
    /// `Items` in JSONata: an array whose items may be expressions, or one expression.
    Template(Template),
}

/// `ItemReader` of a Distributed Map.
#[derive(Debug, Clone, PartialEq)]
pub struct ItemReader {
    pub resource: Resource,
    /// `Parameters`, or `Arguments` in JSONata.
    pub parameters: Option<Template>,
    pub config: ReaderConfig,
}

/// `ReaderConfig` of an item reader.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ReaderConfig {
    /// What the object holds; needed for `getObject`.
    pub input_type: Option<InputType>,
    /// Default: the first row.
    pub csv_headers: CsvHeaders,
    /// `,` by default.
    pub csv_delimiter: Option<CsvDelimiter>,
    /// `MaxItems` or `MaxItemsPath`.
    pub max_items: Option<Count>,
    pub manifest_type: Option<ManifestType>,
    /// `Transformation: LOAD_AND_FLATTEN`: what `listObjectsV2` lists is read as `input_type`.
    pub load_and_flatten: bool,
    /// `ItemsPointer`: where the array is in a JSON object.
    pub items_pointer: Option<String>,
}

/// `InputType` of an item reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputType {
    Json,
    Jsonl,
    Csv,
    Parquet,
    Manifest,
}

/// `CSVHeaderLocation` and `CSVHeaders`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum CsvHeaders {
    #[default]
    FirstRow,
    Given(Vec<String>),
}

/// `CSVDelimiter`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CsvDelimiter {
    Comma,
    Pipe,
    Semicolon,
    Space,
    Tab,
}

/// `ManifestType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ManifestType {
    S3Inventory,
    AthenaData,
}

/// `ItemBatcher` of a Distributed Map.
#[derive(Debug, Clone, PartialEq)]
pub struct ItemBatcher {
    pub batch_input: Option<Template>,
    pub max_items_per_batch: Option<Count>,
    pub max_input_bytes_per_batch: Option<Count>,
}

/// `ResultWriter` of a Distributed Map: one of the two is there.
#[derive(Debug, Clone, PartialEq)]
pub struct ResultWriter {
    /// Where the results go; `None`: into the state's output.
    pub resource: Option<Resource>,
    /// `Parameters`, or `Arguments` in JSONata.
    pub parameters: Option<Template>,
    pub config: WriterConfig,
}

/// `WriterConfig` of a result writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WriterConfig {
    pub output_type: OutputType,
    pub transformation: Transformation,
}

/// `OutputType` of a result writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OutputType {
    #[default]
    Json,
    Jsonl,
}

/// `Transformation` of a result writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Transformation {
    /// The executions with their metadata; the default where results are exported.
    #[default]
    None,
    /// The outputs alone.
    Compact,
    /// The outputs alone, arrays among them taken apart.
    Flatten,
}

/// `ProcessorConfig` of a Map state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ProcessorConfig {
    pub mode: ProcessorMode,
    /// For `DISTRIBUTED` alone.
    pub execution_type: Option<ExecutionType>,
}

/// `Mode` of a Map state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ProcessorMode {
    #[default]
    Inline,
    Distributed,
}

/// The kind of the child executions of a Distributed Map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExecutionType {
    Standard,
    Express,
}

/// One entry of `Retry`, with AWS's defaults filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct Retrier {
    pub error_equals: Vec<String>,
    /// Default 1.
    pub interval_seconds: u64,
    /// Default 3; 0: never.
    pub max_attempts: u64,
    /// Default 2.0.
    pub backoff_rate: f64,
    pub max_delay_seconds: Option<u64>,
    pub jitter: Jitter,
}

/// `JitterStrategy` of a retrier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Jitter {
    #[default]
    None,
    /// Anything between 0 and the computed delay.
    Full,
}

/// One entry of `Catch`.
#[derive(Debug, Clone, PartialEq)]
pub struct Catcher {
    pub error_equals: Vec<String>,
    pub result_path: ResultPath,
    pub assign: Option<Template>,
    /// Of JSONata alone.
    pub output: Option<Template>,
    pub next: Name,
}
