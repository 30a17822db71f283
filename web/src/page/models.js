/*
 * models: the drop-down of providers and models. Hidden while there is nothing to choose.
 */
import { h } from '../dom.js';
import { prefs } from './prefs.js';

/** `nodes`: {row, select}. Returns {load(), choice()}: choice is {provider, model} or {} for the server's default. */
export function startModels(client, nodes, onChange) {
  const { row, select } = nodes;
  let models = [];
  let fallback = null;
  const key = (model) => `${model.provider}/${model.id}`;

  function chosen() {
    return models.find((model) => key(model) === select.value) ?? null;
  }

  select.addEventListener('change', () => {
    prefs.set('model', select.value);
    onChange();
  });

  async function load() {
    try {
      const reply = await client.models();
      models = Array.isArray(reply.models) ? reply.models : [];
      fallback = models.find((model) => model.id === reply.default?.model && model.provider === reply.default?.provider)
        ?? models.find((model) => model.default) ?? models[0] ?? null;
    } catch {
      models = [];
    }
    const providers = [...new Set(models.map((model) => model.provider))];
    const option = (model) => h('option', { value: key(model) }, model.name || model.id);
    select.replaceChildren(...(providers.length > 1
      ? providers.map((name) => h('optgroup', { label: name }, ...models.filter((model) => model.provider === name).map(option)))
      : models.map(option)));
    const remembered = prefs.get('model');
    if (models.some((model) => key(model) === remembered)) select.value = remembered;
    else if (fallback) select.value = key(fallback);
    row.hidden = models.length < 2;
    onChange();
  }

  return {
    load,
    canSee: () => Boolean(chosen()?.vision),
    choice() {
      const model = chosen();
      if (!model || model === fallback) return {};
      return { provider: model.provider, model: model.id };
    },
  };
}
