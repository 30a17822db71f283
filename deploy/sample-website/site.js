/*
 * site: what a website may do with the widget beside showing it: say where the visitor is, and start a conversation from
 * a button of its own. Deferred scripts run in order, so window.Parley is there. Parley.send() returns a promise: false
 * while an answer runs, because nothing is queued; then the visitor sees that answer and may ask again.
 */
window.Parley?.setContext({ page: location.pathname, product_interest: 'bread' });
document.getElementById('ask').addEventListener('click', () => {
  window.Parley?.open();
  window.Parley?.send('Which of your breads are free of nuts?');
});
