/*
 * docs: draws openapi.json as a page. Knows the part of OpenAPI that the document uses; nothing is loaded from
 * elsewhere, and text only ever becomes text.
 */
import { h } from '../dom.js';

const METHODS = ['get', 'post', 'put', 'patch', 'delete'];
const $ = (id) => document.getElementById(id);

/** Text with `code` between backticks, as nodes. */
const prose = (text) => text.split('`').map((part, i) => (i % 2 ? h('code', {}, part) : part));

function createRenderer(spec) {
  const nameOf = (schema) => schema.$ref?.split('/').pop();
  const slug = (method, path) => `${method}${path.replace(/[^A-Za-z0-9]+/g, '-')}`;

  function typeOf(schema) {
    if (schema.$ref) return h('a', { href: `#schema-${nameOf(schema)}` }, nameOf(schema));
    const alternatives = schema.oneOf ?? schema.anyOf ?? schema.allOf;
    if (alternatives) {
      const word = schema.allOf ? ' with ' : ' or ';
      return h('span', {}, ...alternatives.flatMap((one, i) => [i ? word : '', typeOf(one)]));
    }
    if (schema.type === 'array') return h('span', {}, 'list of ', typeOf(schema.items ?? {}));
    return h('span', {}, [schema.type ?? 'anything'].flat().join(' or '));
  }

  /** What else a schema says, in words. */
  function notes(schema) {
    const said = [];
    if (schema.const !== undefined) said.push(`always ${JSON.stringify(schema.const)}`);
    if (schema.enum) said.push(schema.enum.map((one) => JSON.stringify(one)).join(', '));
    if (schema.format) said.push(schema.format);
    if (schema.minLength !== undefined || schema.maxLength !== undefined)
      said.push(`${schema.minLength ?? 0} to ${schema.maxLength ?? 'any number of'} characters`);
    if (schema.minimum !== undefined || schema.maximum !== undefined)
      said.push(schema.maximum === undefined ? `from ${schema.minimum}` : `${schema.minimum ?? ''} to ${schema.maximum}`);
    if (schema.default !== undefined) said.push(`default ${schema.default}`);
    if (schema.description) said.push(schema.description);
    return said.length ? h('span', {}, ': ', ...prose(said.join('. '))) : '';
  }

  function fields(schema) {
    const parts = schema.allOf ? schema.allOf.filter((one) => !one.$ref) : [schema];
    const rows = parts.flatMap((part) => Object.entries(part.properties ?? {}).map(([name, one]) => {
      const inner = one.type === 'array' ? one.items ?? {} : one;
      return h('li', {}, h('code', {}, name), ' ', h('span', { class: 'type' }, typeOf(one)),
        part.required?.includes(name) ? '' : h('span', { class: 'soft' }, ' (optional)'), notes(one),
        inner.properties ? fields(inner) : '');
    }));
    return rows.length ? h('ul', { class: 'fields' }, ...rows) : '';
  }

  function bodyOf(content) {
    return Object.entries(content ?? {}).map(([type, { schema }]) => h('div', {}, h('code', {}, type), ' ', typeOf(schema), notes(schema), fields(schema)));
  }

  function example(method, path, operation) {
    const base = new URL('.', document.baseURI).href.replace(/\/$/, '');
    const lines = [`curl ${method === 'get' ? '' : `-X ${method.toUpperCase()} `}'${base}${path}'`];
    if (operation.requestBody) lines.push("  -H 'Content-Type: application/json'", "  -d '{…}'");
    return h('pre', {}, lines.join(' \\\n'));
  }

  function operationNode(method, path, operation) {
    const parameters = (operation.parameters ?? []).map((one) => h('li', {}, h('code', {}, one.name), ' ',
      h('span', { class: 'type' }, `in ${one.in}, `, typeOf(one.schema)), one.required ? '' : h('span', { class: 'soft' }, ' (optional)'),
      notes(one.schema), one.description ? `. ${one.description}` : ''));
    const responses = Object.entries(operation.responses).flatMap(([status, one]) => [
      h('dt', {}, status, ' ', h('span', { class: 'soft' }, one.description)), h('dd', {}, ...bodyOf(one.content))]);
    return h('section', { class: 'operation', id: slug(method, path) },
      h('h3', {}, h('span', { class: `method ${method}` }, method.toUpperCase()), h('code', {}, path), h('span', { class: 'summary' }, operation.summary)),
      operation.description ? h('p', {}, ...prose(operation.description)) : '',
      parameters.length ? h('h4', {}, 'Parameters') : '', parameters.length ? h('ul', { class: 'fields' }, ...parameters) : '',
      operation.requestBody ? h('h4', {}, operation.requestBody.required ? 'Body' : 'Body (optional)') : '', ...bodyOf(operation.requestBody?.content),
      h('details', {}, h('summary', {}, 'Responses and example'), h('dl', {}, ...responses), example(method, path, operation)));
  }

  const operations = Object.entries(spec.paths).flatMap(([path, item]) =>
    METHODS.filter((method) => item[method]).map((method) => ({ method, path, operation: item[method] })));
  const ofTag = (tag) => operations.filter(({ operation }) => operation.tags?.includes(tag.name));

  return {
    contents: () => h('ul', {}, ...spec.tags.map((tag) => h('li', {}, h('a', { href: `#tag-${tag.name}` }, tag.name), ': ', tag.description)),
      h('li', {}, h('a', { href: '#schemas' }, 'Schemas'))),
    tags: () => spec.tags.flatMap((tag) => [h('h2', { id: `tag-${tag.name}` }, tag.name),
      ...ofTag(tag).map(({ method, path, operation }) => operationNode(method, path, operation))]),
    schemas: () => Object.entries(spec.components.schemas).map(([name, schema]) => h('section', { class: 'operation', id: `schema-${name}` },
      h('h3', {}, h('code', {}, name), h('span', { class: 'summary' }, schema.title ?? '')),
      schema.properties ? '' : h('p', {}, typeOf(schema), notes(schema)), schema.properties && schema.description ? h('p', {}, ...prose(schema.description)) : '', fields(schema))),
  };
}

try {
  const response = await fetch(new URL('openapi.json', document.baseURI));
  if (!response.ok) throw new Error(`The document cannot be loaded (status ${response.status}).`);
  const spec = await response.json();
  const draw = createRenderer(spec);
  document.title = `${spec.info.title}: API documentation`;
  $('title').textContent = `${spec.info.title} ${spec.info.version}: API`;
  $('contents').append(draw.contents());
  $('main').replaceChildren(h('p', {}, ...prose(spec.info.description)), ...draw.tags(), h('h2', { id: 'schemas' }, 'Schemas'), ...draw.schemas());
  document.getElementById(location.hash.slice(1))?.scrollIntoView();
} catch (error) {
  $('status').textContent = error.message;
}
