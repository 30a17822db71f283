/*
 * site: what a website may do with the widget beside showing it: say where the visitor is, and start a conversation from
 * a button of its own. Deferred scripts run in order, so window.Parley is there.
 */
window.Parley?.setContext({ page: location.pathname, product_interest: 'bread' });
document.getElementById('ask').addEventListener('click', () => {
  window.Parley?.open();
  window.Parley?.send('Which of your breads are free of nuts?');
});
