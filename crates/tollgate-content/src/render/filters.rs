//! The filters and functions that a template may use, each of which pays for what it goes through.

use minijinja::value::{Rest, Value, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error, ErrorKind, State, filters, functions};

use super::meter;
use super::values::{charged, is_charged};

/// Filters that have no bound but a number or a text that may come from the data, or that print what is inside of values.
const LEFT_OUT: [&str; 3] = ["format", "indent", "pprint"];

/// The tests of the library that have a name.
pub(super) const TESTS: [&str; 33] = [
    "undefined",
    "defined",
    "none",
    "safe",
    "escaped",
    "boolean",
    "odd",
    "even",
    "divisibleby",
    "number",
    "integer",
    "int",
    "float",
    "string",
    "sequence",
    "iterable",
    "mapping",
    "startingwith",
    "endingwith",
    "lower",
    "upper",
    "sameas",
    "eq",
    "equalto",
    "ne",
    "lt",
    "lessthan",
    "le",
    "gt",
    "greaterthan",
    "ge",
    "in",
    "true",
];

/// What a call costs by itself.
const CALL_UNITS: usize = 4;

/// Elements of a row, rows of a list, and elements of a range are at most so many where a number says it.
const COUNT_MAX: i64 = 100_000;

/// What a call costs beside what it is handed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Price {
    Plain,
    /// Makes a value of each piece of a text.
    Pieces,
    Sort,
    Replace,
    Join,
    Json,
    /// Takes a number of elements.
    Count,
}

/// Puts them in the place of those of the library.
pub(super) fn install(environment: &mut Environment<'static>) {
    for name in LEFT_OUT {
        environment.remove_filter(name);
    }
    // Prints its context, which is the operator's business and not that of who reads the page.
    environment.remove_global("debug");
    for (name, price, filter) in texts().into_iter().chain(lists()) {
        environment.add_filter(name, move |state: &mut State<'_, '_>, args: Rest<ValueOrKwargs>| {
            let args = args.into_values();
            match of_nothing(name, args.first()) {
                Some(nothing) => Ok(nothing),
                None => call(price, &filter, state, args).map(charged),
            }
        });
    }
    for (name, price, function) in [
        ("range", Price::Count, Value::from_function(functions::range)),
        ("dict", Price::Plain, Value::from_function(functions::dict)),
    ] {
        environment.add_function(name, move |state: &mut State<'_, '_>, args: Rest<ValueOrKwargs>| {
            call(price, &function, state, args.into_values()).map(charged)
        });
    }
    let namespace = Value::from_function(functions::namespace);
    environment.add_function("namespace", move |state: &mut State<'_, '_>, args: Rest<ValueOrKwargs>| {
        let made = call(Price::Plain, &namespace, state, args.into_values())?;
        meter::watch(&made);
        Ok::<Value, Error>(made)
    });
}

/// The names of the filters.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    texts().into_iter().chain(lists()).map(|(name, ..)| name)
}

fn texts() -> Vec<(&'static str, Price, Value)> {
    use Price::{Json, Pieces, Plain, Replace};
    vec![
        ("safe", Plain, Value::from_function(filters::safe)),
        ("escape", Plain, Value::from_function(filters::escape)),
        ("e", Plain, Value::from_function(filters::escape)),
        ("lower", Plain, Value::from_function(filters::lower)),
        ("upper", Plain, Value::from_function(filters::upper)),
        ("title", Plain, Value::from_function(filters::title)),
        ("capitalize", Plain, Value::from_function(filters::capitalize)),
        ("replace", Replace, Value::from_function(filters::replace)),
        ("trim", Plain, Value::from_function(filters::trim)),
        ("split", Pieces, Value::from_function(filters::split)),
        ("lines", Pieces, Value::from_function(filters::lines)),
        ("string", Plain, Value::from_function(filters::string)),
        ("urlencode", Plain, Value::from_function(filters::urlencode)),
        ("tojson", Json, Value::from_function(filters::tojson)),
        ("default", Plain, Value::from_function(filters::default)),
        ("d", Plain, Value::from_function(filters::default)),
        ("round", Plain, Value::from_function(filters::round)),
        ("abs", Plain, Value::from_function(filters::abs)),
        ("int", Plain, Value::from_function(filters::int)),
        ("float", Plain, Value::from_function(filters::float)),
        ("bool", Plain, Value::from_function(filters::bool)),
    ]
}

fn lists() -> Vec<(&'static str, Price, Value)> {
    use Price::{Count, Join, Pieces, Plain, Sort};
    vec![
        ("length", Plain, Value::from_function(filters::length)),
        ("count", Plain, Value::from_function(filters::length)),
        ("dictsort", Sort, Value::from_function(filters::dictsort)),
        ("items", Plain, Value::from_function(filters::items)),
        ("reverse", Plain, Value::from_function(filters::reverse)),
        ("join", Join, Value::from_function(filters::join)),
        ("attr", Plain, Value::from_function(filters::attr)),
        ("first", Plain, Value::from_function(filters::first)),
        ("last", Plain, Value::from_function(filters::last)),
        ("min", Plain, Value::from_function(filters::min)),
        ("max", Plain, Value::from_function(filters::max)),
        ("sort", Sort, Value::from_function(filters::sort)),
        ("list", Pieces, Value::from_function(filters::list)),
        ("batch", Count, Value::from_function(filters::batch)),
        ("slice", Count, Value::from_function(filters::slice)),
        ("sum", Plain, Value::from_function(filters::sum)),
        ("select", Plain, Value::from_function(filters::select)),
        ("reject", Plain, Value::from_function(filters::reject)),
        ("selectattr", Plain, Value::from_function(filters::selectattr)),
        ("rejectattr", Plain, Value::from_function(filters::rejectattr)),
        ("map", Plain, Value::from_function(filters::map)),
        ("groupby", Sort, Value::from_function(filters::groupby)),
        ("unique", Sort, Value::from_function(filters::unique)),
        ("chain", Plain, Value::from_function(filters::chain)),
        ("zip", Plain, Value::from_function(filters::zip)),
    ]
}

/// What is made of a value that is not there, or null, where the library knows nothing to make of it: the page of an
/// incomplete answer is a page.
fn of_nothing(filter: &str, value: Option<&Value>) -> Option<Value> {
    value.filter(|value| value.is_none() || value.is_undefined())?;
    match filter {
        "length" | "count" => Some(Value::from(0)),
        "first" | "last" => Some(Value::UNDEFINED),
        "items" | "dictsort" | "split" | "lines" => Some(Value::from(Vec::<Value>::new())),
        _ => None,
    }
}

fn call(
    price: Price,
    filter: &Value,
    state: &mut State<'_, '_>,
    mut args: Vec<Value>,
) -> Result<Value, Error> {
    meter::look();
    meter::spend(CALL_UNITS);
    for arg in &args {
        match arg.as_str() {
            Some(text) => meter::text(text.len()),
            // What is not charged for when it is looked at.
            None if !is_charged(arg) => meter::spend(arg.len().unwrap_or(0)),
            None => {}
        }
    }
    pay(price, &mut args)?;
    let made = filter.call(state, &args)?;
    if let Some(text) = made.as_str() {
        meter::text(text.len());
    }
    Ok(made)
}

/// Pays ahead for what is about to be made.
fn pay(price: Price, args: &mut [Value]) -> Result<(), Error> {
    let text = |at: usize| args.get(at).and_then(Value::as_str).unwrap_or_default();
    match price {
        Price::Plain => {}
        Price::Pieces => meter::spend(text(0).len().saturating_mul(2)),
        // Some comparisons for each element.
        Price::Sort => meter::spend(args.first().and_then(Value::len).unwrap_or(0).saturating_mul(4)),
        Price::Replace => {
            let (whole, from, to) = (text(0), text(1), text(2));
            let grows = to.len().saturating_sub(from.len());
            meter::text(whole.len().saturating_add(whole.matches(from).count().saturating_mul(grows)));
        }
        Price::Join => {
            let between = text(1).len();
            if let Some(list) = args.first_mut()
                && matches!(list.kind(), ValueKind::Seq | ValueKind::Iterable)
            {
                let mut bytes = 0_usize;
                let mut items = Vec::new();
                for item in list.try_iter()? {
                    bytes = bytes.saturating_add(between + item.as_str().map_or(0, str::len));
                    items.push(item);
                }
                meter::text(bytes);
                *list = Value::from(items);
            }
        }
        Price::Json if args.len() > 1 => return Err(refused("it takes no indent here")),
        Price::Json => {}
        Price::Count => {
            let mut numbers = args.iter().filter_map(Value::as_i64);
            if numbers.clone().any(|number| number.checked_abs().is_none_or(|size| size > RANGE_ENDS)) {
                return Err(refused("a number is too large"));
            }
            let is_function = args.first().is_some_and(|first| first.kind() == ValueKind::Number);
            if !is_function && numbers.any(|number| number > COUNT_MAX) {
                return Err(refused("a number is too large"));
            }
        }
    }
    Ok(())
}

/// Where a range may begin and end, so that what lies between can be counted. How much that is, the library bounds.
const RANGE_ENDS: i64 = 1 << 40;

fn refused(message: &'static str) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}
