/*
 * schema: checks a value against the part of JSON Schema that docs/openapi.json uses. A keyword that it does not
 * know is an error, so that the document cannot say more than is checked.
 *
 *   const problems = validate(spec, schema, value);    // [] or ["$.messages[0].role: ...", ...]
 */
const NOTES = new Set(['title', 'description', 'default', '$ref', 'properties', 'required', 'additionalProperties', 'items']);
const TIMESTAMP = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

const kindOf = (value) => (value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value);
const hasType = (type, value) =>
  (type === 'integer' ? Number.isInteger(value) : type === kindOf(value));
const length = (value) => [...value].length;

const checks = {
  type: (type, value) => [type].flat().some((one) => hasType(one, value)) || `is ${kindOf(value)}, not ${type}`,
  const: (wanted, value) => value === wanted || `is not ${JSON.stringify(wanted)}`,
  enum: (list, value) => list.includes(value) || `is none of ${JSON.stringify(list)}`,
  pattern: (pattern, value) => new RegExp(pattern, 'u').test(value) || `does not match ${pattern}`,
  format: (format, value) => value === null || (format === 'date-time' && TIMESTAMP.test(value)) || `is no ${format}`,
  minimum: (min, value) => value >= min || `is below ${min}`,
  maximum: (max, value) => value <= max || `is above ${max}`,
  minLength: (min, value) => length(value) >= min || `is shorter than ${min}`,
  maxLength: (max, value) => length(value) <= max || `is longer than ${max}`,
  minItems: (min, value) => value.length >= min || `has fewer than ${min} items`,
};

export function resolve(spec, schema) {
  return schema.$ref ? schema.$ref.slice(2).split('/').reduce((at, key) => at[key], spec) : schema;
}

export function validate(spec, given, value, where = '$') {
  const schema = resolve(spec, given);
  if (!schema) return [`${where}: ${given.$ref} leads nowhere`];
  const problems = [];
  const within = (one) => validate(spec, one, value, where);
  for (const [keyword, rule] of Object.entries(schema)) {
    if (NOTES.has(keyword)) continue;
    if (keyword === 'allOf') problems.push(...rule.flatMap(within));
    else if (keyword === 'oneOf') {
      const fitting = rule.filter((one) => within(one).length === 0).length;
      if (fitting !== 1) problems.push(`${where}: fits ${fitting} of ${rule.length} alternatives`);
    } else if (!checks[keyword]) problems.push(`${where}: keyword ${keyword} is not checked`);
    else {
      const verdict = checks[keyword](rule, value);
      if (verdict !== true) problems.push(`${where}: ${verdict}`);
      if (verdict !== true && keyword === 'type') return problems;
    }
  }
  if (kindOf(value) === 'array' && schema.items)
    value.forEach((item, i) => problems.push(...validate(spec, schema.items, item, `${where}[${i}]`)));
  if (kindOf(value) !== 'object') return problems;
  for (const name of schema.required ?? []) if (!(name in value)) problems.push(`${where}: ${name} is missing`);
  for (const [name, member] of Object.entries(value)) {
    const known = schema.properties?.[name] ?? (typeof schema.additionalProperties === 'object' ? schema.additionalProperties : null);
    if (known) problems.push(...validate(spec, known, member, `${where}.${name}`));
    else if (schema.additionalProperties === false) problems.push(`${where}: ${name} is not in the schema`);
  }
  return problems;
}
