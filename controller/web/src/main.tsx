import { render } from 'preact';
import { App } from './app';
import { live } from './live/live';
import { startTheme } from './ui/theme';
import './style.css';

startTheme();
live.start();
const root = document.getElementById('app');
if (root) render(<App />, root);
